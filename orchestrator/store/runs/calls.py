"""One call as an activity finds it."""

from dataclasses import dataclass

from sqlalchemy import bindparam
from sqlmodel import col, select

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.authority.hold import Hold
from keyturn.orchestrator.rules.authority.switch import Target
from keyturn.orchestrator.rules.contract.release import Release, ToolSpec
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.status import CallStatus
from keyturn.orchestrator.rules.text.model_notices import Told
from keyturn.orchestrator.store import holds
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import locks
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger import keys
from keyturn.orchestrator.store.ledger.effects import CallRef
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import answers, bulk_scope
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.status import call as call_status
from keyturn.orchestrator.store.switches import active
from keyturn.orchestrator.store.tables import CallRow, EffectRow, RunRow


@dataclass(frozen=True)
class CallView:
    """A call with its run and release, and what holds it.

    `is_held` says whether a pause or halt holds; `off` is the reason why its tool is
    off.
    """

    run: RunRow
    call: CallRow
    release: Release
    spec: ToolSpec
    is_held: bool
    off: str | None
    effect: EffectRow | None

    @property
    def id(self) -> str:
        """Return `run:turn.index`."""
        return keys.call_id(self.call)

    @property
    def arguments(self) -> str:
        """Return the arguments that would be carried out, as canonical JSON."""
        return keys.effective(self.call)


# Queried for every read and every action; building it takes longer than running it.
_CALL = (
    select(CallRow, RunRow)
    .join(RunRow, col(RunRow.id) == col(CallRow.run))
    .where(
        col(CallRow.run) == bindparam("run"),
        col(CallRow.turn) == bindparam("turn"),
        col(CallRow.index) == bindparam("index"),
    )
)


async def load(store: Store, run: str, turn: int, index: int) -> CallView:
    """Return the call, or raise `NotFound`."""
    async with store.read() as session:
        place = {"run": run, "turn": turn, "index": index}
        found = (await session.execute(_CALL, place)).one_or_none()
        if found is None:
            raise NotFound(kind="call", name=f"{run}:{turn}.{index}")
        call, row = found
        await bulk_scope.show(session, row)
        release = await releases.load(session, row.release)
        spec = release.tool(call.tool)
        await session.read_clock()
        found, off = await _holds(session, row, spec)
        return CallView(
            run=row,
            call=call,
            release=release,
            spec=spec,
            is_held=found is not None,
            off=off,
            effect=await session.get(EffectRow, keys.effect_key(call))
            if spec.is_action
            else None,
        )


async def of_run(session: Tx, run: str) -> list[CallRow]:
    """Return a run's calls in their order."""
    query = (
        select(CallRow)
        .where(col(CallRow.run) == run)
        .order_by(col(CallRow.turn), col(CallRow.index))
    )
    return list((await session.execute(query)).scalars())


async def _holds(
    session: Tx, run: RunRow, spec: ToolSpec
) -> tuple[Hold | None, str | None]:
    """Return the pause or halt that holds a call, and why its tool is off.

    Nothing holds a run that is over, but a tool that is disabled is not called for it.
    """
    target = Target(
        tenant=run.tenant,
        workflow=run.workflow,
        tool=spec.name,
        corpora=frozenset(spec.corpora),
    )
    set_now = await active.active(session)
    # A read is not an action: if no tool or corpus is named, it continues.
    named = [one for one in set_now if one.mode == "halt" or one.scope.names_tool]
    off = hold.disabling(named, target)
    return hold.held(run, set_now, target), off.reason if off is not None else None


async def stand(store: Store, run: str, turn: int, index: int) -> bool:
    """Record what holds a read; if nothing does, record that and return False.

    The check and the record are one transaction: a person who lifts the hold finds the
    call and signals it.
    """
    async with store.write() as session:
        await session.share_barrier()
        row = await run_lookup.lock(session, run)
        call = await locks.call(session, run, turn, index)
        if call is None or call.status != "open":
            return False
        await session.read_clock()
        spec = (await releases.load(session, row.release)).tool(call.tool)
        found, _ = await _holds(session, row, spec)
        if found is None:
            await holds.free_call(session, row, call)
            await holds.settle(session, row, status="running")
            return False
        await holds.hold_call(session, row, call, found)
        return True


async def answer_read(
    store: Store, ref: CallRef, *, status: CallStatus, answer: Told
) -> None:
    """Record a read's answer; a second call changes nothing.

    If everything left of the run is held, the run is stopped from now on.
    """
    async with store.write(first=True) as session:
        row = await run_lookup.lock(session, ref.run)
        now = await session.read_clock()
        tool = await call_status.answer(
            session, (ref.run, ref.turn, ref.index), status, answers.stored(answer)
        )
        if tool is not None:
            log.record(session, _answered(row, ref, tool, status), at=now)
        if await holds.has_held_siblings(session, ref.run):
            await holds.settle(session, row)


def _answered(run: RunRow, ref: CallRef, tool: str, status: CallStatus) -> log.Entry:
    return log.Entry(
        actor=f"run:{run.id}",
        kind="call.answered",
        tenant=run.tenant,
        run=run.id,
        subject=f"{run.id}:{ref.turn}.{ref.index}",
        payload={"tool": tool, "status": status},
    )
