"""Switches in the record: setting one is a barrier (P3)."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlmodel import and_, col, or_, select

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.authority.switch import Scope, Switch, is_looser
from keyturn.orchestrator.rules.errors import NotFound, StoreUnavailable
from keyturn.orchestrator.store import holds
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import lock_holder, overstayed
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger import effects
from keyturn.orchestrator.store.status import effect as effect_status
from keyturn.orchestrator.store.switches import active as switch_active
from keyturn.orchestrator.store.switches import impact
from keyturn.orchestrator.store.switches.errors import NotSet, WouldLoosen
from keyturn.orchestrator.store.tables import SwitchRow

SYSTEM = "system"
RAN_OUT = "its time ran out"
STOPPING = ("halt", "disable")
# P3: a switch is set at once, or the operator is told that it is not.
WAIT_S = 2.0


class Barrier(BaseModel):
    """A set switch, the leases it revoked, and what may still reach a provider."""

    model_config = ConfigDict(frozen=True)

    switch: Switch
    revoked: tuple[str, ...] = ()
    sending: tuple[str, ...] = ()


async def put(store: Store, switch: Switch, *, warnings: Sequence[str] = ()) -> Barrier:
    """Set a switch; when this returns, no effect in its scope begins to send.

    `warnings` are recorded: what cannot work, and was set anyway.

    Raises `NotSet` if the database cannot be locked within 2 s, and `WouldLoosen` if
    one of this name is set and holds more: to lift it takes two people (P11).
    """
    try:
        return await overstayed.with_way_made(
            store, lambda: _put(store, switch, warnings)
        )
    except StoreUnavailable as error:
        held = lock_holder.words(store.url) if store.is_sqlite else ""
        words = (
            f"Switch {switch.id} is NOT SET.{held} Set it again; if it cannot wait, "
            "stop the workers first."
        )
        raise NotSet(
            f"{words} {error}", public_message=f"{words} {error.public_message}"
        ) from error


async def _put(store: Store, switch: Switch, warnings: Sequence[str]) -> Barrier:
    async with store.write(wait_s=WAIT_S) as session:
        await session.raise_barrier()
        now = await session.read_clock()
        await _check_replaced(session, switch)
        await _note_ended(session, switch.id)
        # A switch that is set anew may no longer cover what it stopped before.
        await _signal_held(session, switch)
        await session.merge(
            SwitchRow(
                **switch.model_dump(exclude={"scope", "created_at"}),
                scope=switch.scope.model_dump(exclude_none=True),
                created_at=now,
            )
        )
        revoked, sending = await _sweep(session, switch)
        entry = _entry("switch.set", switch, switch.author)
        entry.payload.update({"warnings": list(warnings)} if warnings else {})
        log.record(session, entry, at=now)
        return Barrier(
            switch=switch.model_copy(update={"created_at": now}),
            revoked=tuple(revoked),
            sending=tuple(sending),
        )


async def clear(store: Store, switch_id: str, *, by: str, reason: str) -> list[str]:
    """Lift a switch and signal the runs that it stopped; return their ids.

    This is one person's act: people lift one through a proposal (`dual_control.proposals`).
    """
    async with store.write() as session:
        return await lift(session, switch_id, by=by, reason=reason)


async def lift(
    session: Tx, switch_id: str, *, by: str, reason: str, set_at: datetime | None = None
) -> list[str]:
    """Lift a switch in this transaction; return the runs that were signalled.

    Raises `NotFound` if it is not set, or was set at another time than `set_at`.
    """
    # A run that looks at it now finds it set and is signalled, or finds it lifted.
    await session.raise_barrier()
    now = await session.read_clock()
    row = await session.get(
        SwitchRow, switch_id, with_for_update=True, populate_existing=True
    )
    if (
        row is None
        or not switch_active.is_set(row, now)
        or set_at not in (None, row.created_at)
    ):
        raise NotFound(kind="switch", name=switch_id)
    row.cleared_at, row.cleared_by, row.clear_reason = now, by, reason
    log.record(
        session, _entry("switch.cleared", switch_active.switch_of(row), by), at=now
    )
    return await _signal_held(session, switch_active.switch_of(row))


async def _check_replaced(session: Tx, switch: Switch) -> None:
    row = await session.get(SwitchRow, switch.id)
    if (
        row is None
        or not switch_active.is_set(row, session.now)
        or not is_looser(switch, switch_active.switch_of(row))
    ):
        return
    raise WouldLoosen(
        f"The switch {switch.id!r} is already set and stops more than this one would: "
        f"{row.mode} for {Scope(**row.scope)}, "
        f"{f'until {row.until:%Y-%m-%d %H:%M %Z}' if row.until else 'without an end'}. "
        "Set yours under another name, which takes one person; then propose to lift "
        f"{switch.id!r}, which takes two."
    )


async def listing(
    session: Tx, *, ended: bool, tenant: str | None, limit: int, after: str | None
) -> list[SwitchRow]:
    """Return switches by id: those that are set, or with `ended` all.

    With a tenant, those that name another are left out.
    """
    query = select(SwitchRow).order_by(col(SwitchRow.id)).limit(limit)
    if not ended:
        query = query.where(
            col(SwitchRow.cleared_at).is_(None),
            or_(col(SwitchRow.until).is_(None), col(SwitchRow.until) > session.now),
        )
    if tenant is not None:
        query = query.where(_holds(tenant))
    if after is not None:
        query = query.where(col(SwitchRow.id) > after)
    return list((await session.execute(query)).scalars())


async def history(
    session: Tx, *, tenant: str | None, limit: int, before: str | None = None
) -> list[SwitchRow]:
    """Return switches no longer in force, the latest set first; tenants as `listing`.

    `before` is the last one of a page.
    """
    is_over = or_(
        col(SwitchRow.cleared_at).is_not(None), col(SwitchRow.until) <= session.now
    )
    place = col(SwitchRow.created_at), col(SwitchRow.id)
    query = select(SwitchRow).where(is_over).limit(limit)
    query = query.order_by(*(one.desc() for one in place))
    if tenant is not None:
        query = query.where(_holds(tenant))
    last = await session.get(SwitchRow, before) if before is not None else None
    if last is not None:
        at = col(SwitchRow.created_at)
        same = and_(at == last.created_at, col(SwitchRow.id) < last.id)
        query = query.where(or_(at < last.created_at, same))
    return list((await session.execute(query)).scalars())


def _holds(tenant: str):  # noqa: ANN202 an SQL condition
    """Select the switches that hold a tenant, without those only for another one."""
    named = col(SwitchRow.scope)["tenant"].as_string()
    return or_(named.is_(None), named == tenant)


async def release_ended(store: Store) -> int:
    """Signal the runs of expired switches; return how many."""
    async with store.read() as session:
        now = await session.read_clock()
        query = select(SwitchRow).where(
            col(SwitchRow.cleared_at).is_(None), col(SwitchRow.until) <= now
        )
        if (await session.execute(query)).first() is None:
            return 0
    async with store.write() as session:
        await session.raise_barrier()
        now = await session.read_clock()
        signalled = 0
        for row in (await session.execute(query)).scalars():
            _end(session, row)
            signalled += len(await _signal_held(session, switch_active.switch_of(row)))
        return signalled


async def _note_ended(session: Tx, switch_id: str) -> None:
    """Record that a switch expired before another of its name takes its place."""
    row = await session.get(SwitchRow, switch_id)
    if (
        row is not None
        and row.cleared_at is None
        and not switch_active.is_set(row, session.now)
    ):
        _end(session, row)


def _end(session: Tx, row: SwitchRow) -> None:
    """Record once that a switch no longer holds, because it expired."""
    row.cleared_at, row.cleared_by, row.clear_reason = session.now, SYSTEM, RAN_OUT
    entry = _entry("switch.cleared", switch_active.switch_of(row), SYSTEM)
    entry.payload["cleared_because"] = RAN_OUT
    log.record(session, entry, at=session.now)


async def _sweep(session: Tx, switch: Switch) -> tuple[list[str], list[str]]:
    revoked: list[str] = []
    sending: list[str] = []
    if switch.mode == "use_model":
        return revoked, sending
    why = f"revoked by switch {switch.id}: {switch.reason}"
    for effect in await impact.lock_effects(session, switch.scope):
        if effect.sending_at is not None:
            sending.append(effect.key)
        else:
            revoked.append(effect.key)
        if effect.status == "leased" and effect.sending_at is not None:
            # Its next attempt is revoked; the outcome of the one before is not known.
            effect_status.move(effect, "unknown")
            effect.error = why
            effects.audit_effect(session, effect, "effect.unknown")
        await effects.free(session, effect, why=why)
    return revoked, sending


async def _signal_held(session: Tx, switch: Switch) -> list[str]:
    """Signal what a switch held, or what waits for a model that it may now allow."""
    by = {hold.by_switch(switch.id)}
    if _bears_on_models(switch):
        # If several block a run's models, only one of them is recorded with it.
        others = await switch_active.active(session)
        by |= {hold.by_switch(one.id) for one in others if _bears_on_models(one)}
    return await holds.signal(session, by)


def _bears_on_models(switch: Switch) -> bool:
    return switch.mode == "use_model" or switch.scope.names_model


def _entry(kind: str, switch: Switch, actor: str) -> log.Entry:
    return log.Entry(
        actor=actor,
        kind=kind,
        tenant=switch.scope.tenant,
        subject=switch.id,
        payload=switch.model_dump(mode="json", exclude={"created_at"}),
    )
