"""What a switch would hold."""

from pydantic import BaseModel, ConfigDict
from sqlmodel import col, func, select

from keyturn.orchestrator.rules.authority.switch import Scope
from keyturn.orchestrator.store.db import locks, open_rows
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.switches import active as switch_active
from keyturn.orchestrator.store.switches import unknown_names
from keyturn.orchestrator.store.tables import EffectRow, RunRow

_UNDER_WAY = select(EffectRow).where(open_rows.under_way())


class Impact(BaseModel):
    """What a scope covers now."""

    model_config = ConfigDict(frozen=True)

    runs: int
    leased: tuple[str, ...]
    sending: tuple[str, ...]


async def impact(store: Store, scope: Scope) -> Impact:
    """Return what a switch of this scope would hold now."""
    async with store.read() as session:
        found = (await session.execute(_UNDER_WAY)).scalars()
        effects = [row for row in found if _covers(scope, row)]
        await session.read_clock()
        return Impact(
            runs=await _open_runs(session, scope),
            leased=tuple(e.key for e in effects if e.sending_at is None),
            sending=tuple(e.key for e in effects if e.sending_at is not None),
        )


async def lock_effects(session: Tx, scope: Scope) -> list[EffectRow]:
    """Lock the effects in scope that are leased or being sent, and return them."""
    rows = await locks.effects_in_scope(session, _UNDER_WAY)
    return [row for row in rows if _covers(scope, row)]


def _covers(scope: Scope, row: EffectRow) -> bool:
    return scope.covers(
        switch_active.tool_targets(
            tenant=row.tenant,
            workflow=row.workflow,
            tool=row.tool,
            corpora=row.corpora,
        )
    )


async def _open_runs(session: Tx, scope: Scope) -> int:
    """Count the open runs with a pinned release that can do what the scope names."""
    groups = (
        select(RunRow.release, RunRow.workflow, RunRow.tenant, func.count())
        .where(open_rows.runs())
        .group_by(col(RunRow.release), col(RunRow.workflow), col(RunRow.tenant))
    )
    if scope.workflow:
        groups = groups.where(col(RunRow.workflow) == scope.workflow)
    if scope.tenant:
        groups = groups.where(col(RunRow.tenant) == scope.tenant)
    found = list((await session.execute(groups)).all())
    if not (scope.names_tool or scope.names_model):
        return sum(count for *_, count in found)
    now_set = [one for one in await switch_active.active(session) if one.value]
    total = 0
    for name, workflow, tenant, count in found:
        release = await releases.load(session, name)
        models = [
            one.value
            for one in now_set
            if one.mode == "use_model"
            and one.scope.workflow in (None, workflow)
            and one.scope.tenant in (None, tenant)
        ]
        total += count * unknown_names.can_use(release, scope, [m for m in models if m])
    return total
