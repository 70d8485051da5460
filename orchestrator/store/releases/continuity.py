"""Continuity: a release that goes live keeps its tools' guards and history."""

from collections.abc import Iterable
from typing import Any

from sqlmodel import col, select

from keyturn.orchestrator.rules.contract.release import Release, ToolSpec
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.releases.errors import GuardLost, HistoryLost
from keyturn.orchestrator.store.tables import EffectRow, ReleaseRow


async def check(session: Tx, fresh: Release, live: ReleaseRow | None) -> None:
    """Raise `GuardLost` or `HistoryLost` if a release may not go live."""
    before = {} if live is None else _tools(live.content)
    for spec in fresh.tools:
        if spec.name in before:
            _check_guards(fresh.workflow, spec, before[spec.name])
    for spec in fresh.tools:
        if spec.is_action and spec.service is not None:
            await _check_service(session, fresh.workflow, spec)


def _check_guards(workflow: str, spec: ToolSpec, before: dict[str, Any]) -> None:
    lost = [
        name
        for name in ("subject", "money")
        if before.get(name) is not None and getattr(spec, name) is None
    ]
    was_action = before.get("authority") != "read_only"
    if was_action and not spec.is_action:
        lost.insert(0, "authority")
    if lost:
        name = lost[0]
        raise GuardLost(
            f"Tool {spec.name!r} of {workflow!r} no longer has {name}: "
            f"the live release has {name}={before[name]!r}, which its rules and "
            f"limits use. Keep {name}={before[name]!r}, or give the new tool another name: "
            "it then gets its own grant and rules."
        )


async def _check_service(session: Tx, workflow: str, spec: ToolSpec) -> None:
    query = select(ReleaseRow).where(col(ReleaseRow.workflow) == workflow)
    known = list((await session.execute(query)).scalars())
    before = set(_services([one.content for one in known], spec.name))
    for old in sorted(before - {spec.service}):
        if await _has_history(session, workflow, spec.name, old):
            raise HistoryLost(
                f"Tool {spec.name!r} of {workflow!r} names the service "
                f"{spec.service!r}, but what it did is recorded under {old!r}: limits, "
                "“already done” and “one open effect a subject” would start from zero. Keep "
                f"service={old!r} (it says whose ids these are; it is not an address), or "
                "leave service out: then what was done at every service counts."
            )


async def _has_history(session: Tx, workflow: str, tool: str, service: str) -> bool:
    query = select(EffectRow.key).where(
        col(EffectRow.tool) == tool,
        col(EffectRow.workflow) == workflow,
        col(EffectRow.service) == service,
    )
    return (await session.execute(query.limit(1))).first() is not None


def _services(contents: Iterable[dict[str, Any]], tool: str) -> Iterable[str]:
    for content in contents:
        service = _tools(content).get(tool, {}).get("service")
        if service is not None:
            yield str(service)


def _tools(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {str(one["name"]): one for one in content.get("tools", ())}
