"""One call as an activity finds it."""

from dataclasses import dataclass

from sqlalchemy import bindparam
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select, update

from orchestrator.errors import NotFound
from orchestrator.release import Release, ToolSpec
from orchestrator.status import CallStatus
from orchestrator.store import asking, releases, switches
from orchestrator.store.engine import Store
from orchestrator.store.tables import CallRow, EffectRow, RunRow
from orchestrator.switch import Target, holding


@dataclass(frozen=True)
class CallView:
    """A call with its run and release, and what holds it.

    `held_by` is what stops the whole run; `off` the reason of a switch on its tool.
    """

    run: RunRow
    call: CallRow
    release: Release
    spec: ToolSpec
    held_by: str | None
    off: str | None
    effect: EffectRow | None

    @property
    def id(self) -> str:
        """Return `run:turn.index`."""
        return asking.call_id(self.call)

    @property
    def arguments(self) -> str:
        """Return what would be carried out, as canonical JSON."""
        return asking.effective(self.call)


# Asked for every read and every action; to build it takes longer than to ask it.
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
        release = await releases.load(session, row.release)
        spec = release.tool(call.tool)
        held_by, off = await _holds(session, store, row, spec)
        return CallView(
            run=row,
            call=call,
            release=release,
            spec=spec,
            held_by=held_by,
            off=off,
            effect=await session.get(EffectRow, asking.effect_key(call))
            if spec.is_action
            else None,
        )


async def of_run(session: AsyncSession, run: str) -> list[CallRow]:
    """Return a run's calls in their order."""
    query = (
        select(CallRow)
        .where(col(CallRow.run) == run)
        .order_by(col(CallRow.turn), col(CallRow.index))
    )
    return list((await session.execute(query)).scalars())


async def _holds(
    session: AsyncSession, store: Store, run: RunRow, spec: ToolSpec
) -> tuple[str | None, str | None]:
    if run.cancel_reason is not None:
        # Whatever held it holds it no more: it goes on to its end.
        return None, None
    if run.paused_by is not None:
        return f"pause by {run.paused_by}", None
    target = Target(
        tenant=run.tenant,
        workflow=run.workflow,
        tool=spec.name,
        corpora=frozenset(spec.corpora),
    )
    now = await store.now(session)
    found = holding(await switches.active(session, now=now), target)
    if found is None:
        return None, None
    if found.mode == "halt":
        return f"switch {found.id}", None
    return None, found.reason


async def answer_read(  # noqa: PLR0913 which call, and its answer
    store: Store, run: str, turn: int, index: int, *, status: CallStatus, words: str
) -> None:
    """Record a read's answer; a second call changes nothing."""
    async with store.write() as session:
        answer = (
            update(CallRow)
            .where(col(CallRow.run) == run, col(CallRow.turn) == turn)
            .where(col(CallRow.index) == index, col(CallRow.status) == "open")
            .values(
                status=status,
                result=asking.storable(words),
                ended_at=await store.now(session),
            )
        )
        await session.execute(answer)
