"""Checks the names in a switch against those that exist.

A misspelled name holds nothing, or sends every run in scope to people, and is noticed
too late.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches

from sqlmodel import col, select

from keyturn.orchestrator.rules.authority.switch import Scope, Switch
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.switches.errors import UnknownNames
from keyturn.orchestrator.store.tables import RunRow, ServedRow
from keyturn.orchestrator.store.tenants import tenants

# A worker's report of its providers is valid for this long; it reports every minute.
SERVED_FOR = timedelta(minutes=10)


async def check(
    store: Store, switch: Switch, *, tenant: str | None, anyway: bool
) -> list[str]:
    """Return what of a switch cannot work as it is, as warnings if set `anyway`.

    Else raises `UnknownNames`. With `tenant`, for one tenant's people, others are not
    listed.
    """
    async with store.read() as session:
        used = await in_use(session)
        if not used:
            # Nothing has ever begun here: there is no list to check names against.
            return []
        why = await _misfits(session, used, switch.scope, tenant=tenant)
        if switch.mode == "use_model" and switch.value is not None:
            why += await _why_not_used(session, used, switch.scope, switch.value)
    if why and not anyway:
        raise UnknownNames(why)
    return why


async def in_use(session: Tx) -> list[Release]:
    """Return the live releases and those that open runs are pinned to."""
    live = dict(await releases.all_live(session))
    found = {one.hash(): one for one in live.values()}
    pinned = select(RunRow.release).where(col(RunRow.status).not_in(ENDED_RUNS))
    for name in (await session.execute(pinned.distinct())).scalars():
        if name not in found:
            found[name] = await releases.load(session, name)
    return list(found.values())


def can_use(release: Release, scope: Scope, models: Collection[str]) -> bool:
    """Tell whether a run of this release can do what a scope names.

    `models` are targets that switches put in place of the release's own.
    """
    if scope.names_tool and scope.names_model:
        return False
    if scope.names_tool and not any(
        scope.tool in (None, tool.name)
        and (scope.corpus is None or scope.corpus in tool.corpora)
        for tool in release.tools
    ):
        return False
    if not scope.names_model:
        return True
    targets = [(None, one) for one in models if "/" in one]
    for alias in {release.model, release.safer_model, *models}:
        targets += [(alias, one) for one in _targets(release, alias)]
    return any(
        scope.provider in (None, target.partition("/")[0])
        and scope.model in (None, alias, target, target.partition("/")[2])
        for alias, target in targets
    )


def _targets(release: Release, alias: str) -> tuple[str, ...]:
    known = {one.name: one.targets for one in release.aliases}
    return (alias,) if "/" in alias else known.get(alias, ())


async def _misfits(
    session: Tx, used: Sequence[Release], scope: Scope, *, tenant: str | None
) -> list[str]:
    known = {
        **_names(used),
        "tenant": await _tenants(session) if tenant is None else {tenant},
    }
    wanted = scope.model_dump(exclude_none=True)
    why = [
        f"There is no {kind} {name!r}. {_near(name, known[kind])}"
        for kind, name in wanted.items()
        if name not in known[kind]
    ]
    if scope.names_tool and scope.names_model:
        why.append(
            "A scope with both a tool and a model matches nothing; name one of the two."
        )
    elif not why and not any(
        scope.workflow in (None, one.workflow) and can_use(one, scope, ())
        for one in used
    ):
        why.append(f"No release matches all of this at once: {scope}.")
    return why


def _names(used: Iterable[Release]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {
        kind: set() for kind in ("workflow", "tool", "corpus", "model", "provider")
    }
    for release in used:
        found["workflow"].add(release.workflow)
        for tool in release.tools:
            found["tool"].add(tool.name)
            found["corpus"].update(tool.corpora)
        for alias in release.aliases:
            found["model"].add(alias.name)
            for target in alias.targets:
                provider, _, model = target.partition("/")
                found["model"].update((target, model))
                found["provider"].add(provider)
        for target in (release.model, release.safer_model):
            if "/" in target:
                found["model"].update((target, target.partition("/")[2]))
                found["provider"].add(target.partition("/")[0])
    return found


async def _tenants(session: Tx) -> set[str]:
    """Return the declared tenants, and those of open runs."""
    asked = select(RunRow.tenant).where(col(RunRow.status).not_in(ENDED_RUNS))
    found = (await session.execute(asked.distinct())).scalars()
    return {*await tenants.declared(session), *found}


async def _why_not_used(
    session: Tx, used: Sequence[Release], scope: Scope, value: str
) -> list[str]:
    """Return why runs in scope could not continue with the model `value`."""
    covered = [one for one in used if scope.workflow in (None, one.workflow)]
    provider, slash, model = value.partition("/")
    if slash and not (provider and model):
        return [f"{value!r} is not a model: write provider/model, or an alias."]
    if not slash:
        lack = sorted(one.workflow for one in covered if not _targets(one, value))
        if lack:
            names = {alias.name for one in used for alias in one.aliases}
            of = "" if value not in names else f" of {', '.join(dict.fromkeys(lack))}"
            return [f"There is no model alias {value!r}{of}. {_near(value, names)}"]
    served = await _served(session)
    if served is None:
        # No worker has recently reported what it can ask, so this cannot be known here.
        return []
    groups = {_targets(one, value) for one in covered} or {(value,)}
    found = [await _why_not_asked(value, group, served) for group in groups]
    return list(dict.fromkeys(why for why in found if why is not None))


async def _why_not_asked(
    value: str, targets: Collection[str], served: Mapping[str, ServedRow]
) -> str | None:
    """Return why no worker would ask any of a model's targets, or None."""
    reached = [one for one in targets if one.partition("/")[0] in served]
    if not reached:
        which = ", ".join(sorted({one.partition("/")[0] for one in targets}))
        return (
            f"No worker has a key or an address for the provider {which} of "
            f"{value!r}. {_near(which, served)}"
        )
    by_hand = {target for row in served.values() for target in row.priced}
    asked = [one for one in reached if one not in by_hand]
    # In a thread: the first look reads the list, which takes longer than a page may
    # wait.
    lack = await asyncio.to_thread(_unpriced, asked) if asked else set[str]()
    if len(asked) < len(reached) or lack < set(asked):
        return None
    listed = await asyncio.to_thread(_listed, {one.partition("/")[0] for one in lack})
    return (
        f"No price is known for {', '.join(sorted(lack))}, and a model without a price is "
        f"not called. {_meant(min(lack), listed | by_hand)}Set its price on the workers "
        "(KEYTURN_PRICES), or name a model that has one."
    )


# The list takes half a second to load: a request without a model does not wait for it.


def _unpriced(targets: Collection[str]) -> set[str]:
    from keyturn.orchestrator.rules.money import price_list  # noqa: PLC0415 see above

    return price_list.unpriced(targets)


def _listed(providers: Collection[str]) -> set[str]:
    from keyturn.orchestrator.rules.money import price_list  # noqa: PLC0415 see above

    return {target for one in providers for target in price_list.listed(one)}


async def _served(session: Tx) -> Mapping[str, ServedRow] | None:
    since = await session.read_clock() - SERVED_FOR
    query = select(ServedRow).where(col(ServedRow.seen_at) > since)
    rows = list((await session.execute(query)).scalars())
    return {row.provider: row for row in rows} or None


async def serve(
    store: Store, providers: Collection[str], priced: Iterable[str]
) -> None:
    """Record which providers a worker can ask now, and which models have prices."""
    named = list(priced)
    async with store.write() as session:
        now = await session.read_clock()
        for name in sorted(providers):
            await session.merge(
                ServedRow(
                    provider=name,
                    priced=[one for one in named if one.startswith(f"{name}/")],
                    seen_at=now,
                )
            )


def _near(name: str, known: Collection[str]) -> str:
    """Return the similar names, and all that exist."""
    listed = sorted(known)
    shown = ", ".join(listed[:40]) or "none"
    more = f" and {len(listed) - 40} more" if len(listed) > 40 else ""
    return f"{_meant(name, known)}There are: {shown}{more}."


def _meant(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, sorted(known), n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}? " if near else ""
