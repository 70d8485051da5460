"""Turns in the record: what a model is told, and the one commit of what it said."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy import bindparam
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import and_, col, exists, func, select, update

from orchestrator import canonical
from orchestrator.budget import TURNS_PER_STEP
from orchestrator.errors import NotFound
from orchestrator.money import Money
from orchestrator.policy import NO_AMOUNT, Action, Verdict, judge, strictest
from orchestrator.release import Release
from orchestrator.status import ENDED_RUNS, CallStatus
from orchestrator.store import (
    asking,
    audit,
    meters,
    moved,
    releases,
    runs,
    steering,
    switches,
)
from orchestrator.store.engine import Store
from orchestrator.store.runs import Ending
from orchestrator.store.tables import (
    CallRow,
    CustomerMessageRow,
    MessageRow,
    RunRow,
    StepRow,
    TurnRow,
)
from orchestrator.switch import Switch, Target, covering, holding

# How many turns are read at once while a window is filled from the end.
PAGE = 64


@dataclass(frozen=True)
class Position:
    """Where a run stands before a turn; `result` is set where the turn is committed."""

    run: RunRow
    step: StepRow
    turn: int
    release: Release
    switches: list[Switch]
    now: datetime
    result: str | None
    unread: list[CustomerMessageRow]


@dataclass(frozen=True)
class PastTurn:
    """One committed turn: what was said, then the calls with their answers."""

    turn: int
    messages: list[MessageRow] = field(default_factory=list[MessageRow])
    calls: list[CallRow] = field(default_factory=list[CallRow])

    @property
    def said(self) -> str:
        """Return the first message's text, or nothing."""
        return self.messages[0].text if self.messages else ""

    def add(self, row: MessageRow | CallRow) -> None:
        """Take in one row, in its order."""
        if isinstance(row, MessageRow):
            self.messages.append(row)
        else:
            self.calls.append(row)


def first_turn(step: int) -> int:
    """Return the number of a step's first turn."""
    return (step - 1) * TURNS_PER_STEP + 1


async def begin_step(
    store: Store, step: StepRow, opening: Callable[[Release, str], str]
) -> None:
    """Record a step and its opening message; a second call changes nothing.

    `opening` makes the message from the run's release and input.
    """
    try:
        async with store.write() as session:
            if await session.get(StepRow, (step.run, step.step)) is not None:
                return
            run = await runs.get(session, step.run, lock=True)
            release = await releases.load(session, run.release)
            now = await store.now(session)
            step.created_at = now
            session.add(step)
            session.add(
                MessageRow(
                    run=step.run,
                    turn=first_turn(step.step) - 1,
                    index=0,
                    role="user",
                    text=opening(release, run.input),
                    created_at=now,
                )
            )
            if run.status == "queued":
                run.status = "running"
    except IntegrityError:
        # Another attempt recorded the same step first.
        return


# One statement: it is asked in every turn, and once a second while a model is. Built
# once, for to build it takes longer than to ask it.
_POSITION = (
    select(
        RunRow,
        StepRow,
        TurnRow.result,
        exists().where(
            col(CustomerMessageRow.run) == bindparam("run"),
            col(CustomerMessageRow.turn).is_(None),
        ),
    )
    .select_from(RunRow)
    .outerjoin(
        TurnRow,
        and_(
            col(TurnRow.run) == bindparam("run"),
            col(TurnRow.turn) == bindparam("turn"),
        ),
    )
    .outerjoin(
        StepRow,
        and_(
            col(StepRow.run) == bindparam("run"),
            col(StepRow.step) == bindparam("step"),
        ),
    )
    .where(col(RunRow.id) == bindparam("run"))
)


async def load(store: Store, *, run: str, step: int, turn: int) -> Position:
    """Return where the run stands; raises `NotFound` for an unknown run or step."""
    place = {"run": run, "step": step, "turn": turn}
    async with store.read() as session:
        found = (await session.execute(_POSITION, place)).one_or_none()
        if found is None:
            raise NotFound(kind="run", name=run)
        row, known, result, is_written = found
        now = await store.now(session)
        return Position(
            run=row,
            step=known
            or StepRow(run=run, step=step, name="", kind="act", created_at=now),
            turn=turn,
            release=await releases.load(session, row.release),
            switches=await switches.active(session, now=now),
            now=now,
            result=result,
            unread=await _unread(session, run) if is_written else [],
        )


async def transcript(
    store: Store, *, run: str, step: int, turn: int, window_bytes: int | None
) -> tuple[str, list[PastTurn], bool]:
    """Return the opening message, the latest turns that fit, and whether any did not.

    `turn` is the one to come; those before it are read.

    Reads from the end, so that the cost follows the window and not the run's length.
    """
    base = first_turn(step) - 1
    async with store.read() as session:
        opening: str | None = None
        kept: list[PastTurn] = []
        room, before = window_bytes, turn
        while before > base + 1:
            page = await _page(session, run, since=base, before=before)
            if page[0].turn == base:
                opening = page.pop(0).said
            for past in reversed(page):
                size = _size(past)
                if room is not None and size > room and kept:
                    opening = opening or await _opening(session, run, base)
                    return opening, kept[::-1], True
                room = None if room is None else room - size
                kept.append(past)
            before = page[0].turn
        opening = opening or await _opening(session, run, base)
        return opening, kept[::-1], False


async def repeats(
    store: Store, *, run: str, step: int, wanted: Sequence[tuple[str, str]]
) -> "Counter[tuple[str, str]]":
    """Return how often each (tool, arguments hash) was asked for before."""
    base = first_turn(step) - 1
    hashes = [arguments for _, arguments in wanted]
    query = (
        select(CallRow.tool, CallRow.arguments_hash, func.count())
        .where(
            col(CallRow.run) == run,
            col(CallRow.turn) > base,
            col(CallRow.turn) < base + TURNS_PER_STEP,
            col(CallRow.arguments_hash).in_(hashes),
        )
        .group_by(col(CallRow.tool), col(CallRow.arguments_hash))
    )
    async with store.read() as session:
        rows = (await session.execute(query)).all()
    return Counter({(tool, arguments): count for tool, arguments, count in rows})


class DraftedCall(BaseModel):
    """One call of a reply, checked, before policy has judged it.

    `preview` and `money` are read for an action; `answer` is set where the call has its
    answer already (a guard's words) and is not carried out.
    """

    model_config = ConfigDict(frozen=True)

    index: int
    tool: str
    provider_id: str
    arguments: str
    preview: str = "{}"
    money: Money | None = None
    answer: str | None = None
    answer_status: CallStatus = "denied"


class GaveUp(BaseModel):
    """Why a turn ended in a fallback, and what the model left for a person."""

    model_config = ConfigDict(frozen=True)

    reason: str
    left: str = ""


class Turn(BaseModel):
    """All that one turn commits; one that `ends_run` commits the run's end with it."""

    model_config = ConfigDict(frozen=True)

    run: str
    step: int
    turn: int
    provider: str | None = None
    model: str | None = None
    text: str = ""
    calls: tuple[DraftedCall, ...] = ()
    output: dict[str, JsonValue] | None = None
    attempt: str | None = None
    used: meters.Used | None = None
    duration_ms: int = 0
    read_messages: tuple[int, ...] = ()
    gave_up: GaveUp | None = None
    ends_run: bool = False


@dataclass(frozen=True)
class Gated:
    """A committed call with its gate and, where it waits, its deadline."""

    index: int
    gate: Literal["read", "act", "wait", "denied"]
    last: bool
    until: datetime | None


# Writes a turn's result as JSON text from its gated calls, within the transaction; the
# flag says whether the turn's output stands as the step's.
ToResult = Callable[[list[Gated], bool], str]


async def commit(
    store: Store, turn: Turn, to_result: ToResult, position: Position
) -> str:
    """Commit a turn and return its result; a late loser gets the winner's."""
    try:
        async with store.write() as session:
            return await _Committing(session, store, turn, position).commit(to_result)
    except IntegrityError:
        async with store.read() as session:
            winner = await session.get(TurnRow, (turn.run, turn.turn))
        if winner is None:
            raise
        if turn.attempt is not None:
            await meters.settle(store, turn.attempt, turn.used)
        return winner.result


class _Committing:
    def __init__(
        self, session: AsyncSession, store: Store, turn: Turn, position: Position
    ) -> None:
        self._session = session
        self._store = store
        self._turn = turn
        self._release = position.release
        self._is_loop = position.step.kind == "act"

    async def commit(self, to_result: ToResult) -> str:
        turn, session = self._turn, self._session
        self._run = await runs.get(session, turn.run, lock=True)
        self._now = await self._store.now(session)
        if turn.attempt is not None:
            await meters.settle_in(
                session, self._store, turn.attempt, turn.used, run=self._run
            )
        await self._say()
        if any(self._release.tool(call.tool).is_action for call in turn.calls):
            # Only actions are judged; a turn of reads needs neither.
            self._switches = await switches.active(session, now=self._now)
            _, self._live = await releases.live(session, self._run.workflow)
        gated = [await self._gate(call) for call in turn.calls]
        # An answer that does not know the customer's last words ends nothing.
        self._is_final = turn.output is not None and not (
            self._is_loop and await _unread(session, turn.run)
        )
        result = to_result(gated, self._is_final)
        self._record(result)
        await self._close_step()
        self._set_status(gated)
        if self._is_final and turn.ends_run:
            ending = Ending(outcome="completed", step=turn.step)
            await runs.end(session, self._run, ending, now=self._now)
        return result

    async def _say(self) -> None:
        """Add the customer's new words, then the model's, to the transcript."""
        for offset, message_id in enumerate(self._turn.read_messages):
            row = await self._session.get(CustomerMessageRow, message_id)
            if row is not None:
                row.turn = self._turn.turn
                self._message(offset, "user", row.text)
        if self._turn.text:
            self._message(len(self._turn.read_messages), "assistant", self._turn.text)

    def _message(self, index: int, role: str, text: str) -> None:
        self._session.add(
            MessageRow(
                run=self._turn.run,
                turn=self._turn.turn,
                index=index,
                role=role,
                text=text,
                created_at=self._now,
            )
        )

    async def _gate(self, call: DraftedCall) -> Gated:
        spec = self._release.tool(call.tool)
        row = self._call_row(call, spec.authority)
        self._session.add(row)
        last = spec.audience == "customer" and spec.is_action
        if call.answer is not None:
            asking.end_call(
                self._session, row, call.answer_status, call.answer, now=self._now
            )
            return Gated(call.index, "denied", last, None)
        if not spec.is_action:
            return Gated(call.index, "read", last=False, until=None)
        verdict = await self._verdict(row, call)
        row.verdict = verdict.model_dump(mode="json")
        return await self._apply(row, call, verdict, last=last)

    def _call_row(self, call: DraftedCall, authority: str) -> CallRow:
        arguments = canonical.parse(call.arguments)
        return CallRow(
            run=self._turn.run,
            turn=self._turn.turn,
            index=call.index,
            tool=call.tool,
            authority=authority,
            provider_id=call.provider_id,
            arguments=call.arguments,
            arguments_hash=canonical.digest(arguments),
            gate="read" if authority == "read_only" else "act",
            subject=asking.subject_of(self._release.tool(call.tool), arguments),
            created_at=self._now,
        )

    async def _apply(
        self, row: CallRow, call: DraftedCall, verdict: Verdict, *, last: bool
    ) -> Gated:
        match verdict.kind:
            case "deny":
                row.gate = "denied"
                words = f"Not allowed: {verdict.rule}. It was not done."
                asking.end_call(self._session, row, "denied", words, now=self._now)
                return Gated(call.index, "denied", last, None)
            case "allow":
                return Gated(call.index, "act", last, None)
            case "ask":
                row.gate = "wait"
                approval = await asking.ask(
                    self._session,
                    self._run,
                    row,
                    self._release,
                    verdict,
                    preview=call.preview,
                    money=call.money,
                    reason=self._turn_words(),
                    now=self._now,
                    not_by=await steering.steered_by(
                        self._session, row, self._release.tool(call.tool)
                    ),
                )
                return Gated(call.index, "wait", last, approval.answer_by)

    def _turn_words(self) -> str:
        said = canonical.parse(self._turn.text)
        words = said.get("text") if isinstance(said, dict) else ""
        return words if isinstance(words, str) else ""

    async def _verdict(self, row: CallRow, call: DraftedCall) -> Verdict:
        if self._release.tool(call.tool).money is not None and call.money is None:
            return NO_AMOUNT
        arguments = canonical.parse(call.arguments)
        before = await moved.before(
            self._session,
            self._run,
            [self._release, self._live],
            subject=row.subject,
            money=call.money,
            now=self._now,
        )
        action = Action(
            tool=call.tool,
            arguments=arguments if isinstance(arguments, dict) else {},
            money=call.money,
            moved=before.amount,
            mixed=before.is_mixed,
            repeated=await moved.is_repeated(
                self._session, tenant=self._run.tenant, subject=row.subject
            ),
        )
        return strictest(
            judge(self._release.rules, action),
            judge(self._live.rules, action),
            *self._switched(call.tool),
        )

    def _switched(self, tool: str) -> list[Verdict]:
        target = Target(
            tenant=self._run.tenant,
            workflow=self._run.workflow,
            tool=tool,
            corpora=frozenset(self._release.tool(tool).corpora),
        )
        found = [
            Verdict(kind="ask", approvers=1, rule=f"switch {one.id}: {one.reason}")
            for one in covering(self._switches, target)
            if one.mode == "require_approval"
        ]
        held = holding(self._switches, target)
        if held is not None and held.mode == "disable":
            found.append(Verdict(kind="deny", rule=f"switched off: {held.reason}"))
        return found

    def _record(self, result: str) -> None:
        turn = self._turn
        self._session.add(
            TurnRow(
                run=turn.run,
                turn=turn.turn,
                step=turn.step,
                result=result,
                model=turn.model,
                provider=turn.provider,
                tokens=turn.used.input_tokens + turn.used.output_tokens
                if turn.used
                else 0,
                cost_microusd=turn.used.cost_microusd if turn.used else 0,
                duration_ms=turn.duration_ms,
                created_at=self._now,
            )
        )
        self._run.turns += 1
        if turn.gave_up is not None:
            self._run.handed_off = {
                "reason": turn.gave_up.reason[:2000],
                "detail": turn.gave_up.left or None,
            }
        audit.record(
            self._session,
            audit.Entry(
                actor=f"run:{turn.run}",
                kind="turn",
                tenant=self._run.tenant,
                run=turn.run,
                subject=f"{turn.run}:{turn.turn}",
                payload={
                    "model": turn.model,
                    "provider": turn.provider,
                    "release": self._run.release,
                    "said": canonical.digest(turn.text),
                    "result": canonical.digest(result),
                    "calls": [call.tool for call in turn.calls],
                    "cost_microusd": turn.used.cost_microusd if turn.used else 0,
                },
            ),
            at=self._now,
        )

    async def _close_step(self) -> None:
        if self._turn.output is None or not self._is_final:
            return
        step = await self._session.get(StepRow, (self._turn.run, self._turn.step))
        if step is not None:
            step.output = dict(self._turn.output)

    def _set_status(self, gated: Sequence[Gated]) -> None:
        if self._run.status in ENDED_RUNS or self._run.stopped_by is not None:
            return
        waits = any(call.gate == "wait" for call in gated)
        self._run.status = "waiting" if waits else "running"


async def stop(store: Store, run: str, by: str) -> bool:
    """Mark a run as held by a pause, switch or budget; False where it no longer is.

    A switch lifted or a run resumed between look and commit would ring nobody.
    """
    async with store.write() as session:
        # Lifting a switch takes the barrier alone: it is lifted before this, or rings.
        await store.share_barrier(session)
        row = await runs.get(session, run, lock=True)
        if row.status in ENDED_RUNS:
            return False
        now = await store.now(session)
        if by.startswith("pause") and row.paused_by is None:
            return False
        if by.startswith("switch ") and by.removeprefix("switch ") not in {
            one.id for one in await switches.active(session, now=now)
        }:
            return False
        await runs.stop(session, row, by, now=now)
        return True


async def go_on(store: Store, run: str) -> None:
    """Mark a run that was held, or waits to be picked up, as running."""
    async with store.write() as session:
        row = await runs.get(session, run, lock=True)
        if row.paused_by is None:
            now = await store.now(session)
            await runs.go_on(session, row, status="running", now=now)


async def use_safer_model(store: Store, run: str) -> bool:
    """Move a run to its contract's safer model; False where it has it already."""
    async with store.write() as session:
        row = await runs.get(session, run, lock=True)
        if row.use_safer_model:
            return False
        row.use_safer_model = True
        return True


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


async def _unread(session: AsyncSession, run: str) -> list[CustomerMessageRow]:
    query = (
        select(CustomerMessageRow)
        .where(
            col(CustomerMessageRow.run) == run, col(CustomerMessageRow.turn).is_(None)
        )
        .order_by(col(CustomerMessageRow.id))
    )
    return list((await session.execute(query)).scalars())


def _of_turns(table: type[MessageRow] | type[CallRow]) -> Any:  # noqa: ANN401 a query of either
    return (
        select(table)
        .where(col(table.run) == bindparam("run"))
        .where(
            col(table.turn) >= bindparam("since"),
            col(table.turn) < bindparam("before"),
        )
        .order_by(col(table.turn), col(table.index))
    )


_PAGES = (_of_turns(MessageRow), _of_turns(CallRow))


async def _page(
    session: AsyncSession, run: str, *, since: int, before: int
) -> list[PastTurn]:
    # A step's turns are numbered without a gap; before the first stands its opening.
    numbers = range(max(since, before - PAGE), before)
    found = {number: PastTurn(number) for number in numbers}
    place = {"run": run, "since": numbers[0], "before": before}
    for query in _PAGES:
        for row in (await session.execute(query, place)).scalars():
            found[row.turn].add(row)
    return list(found.values())


def _size(past: PastTurn) -> int:
    said = sum(len(message.text) for message in past.messages)
    return said + sum(len(call.result or "") for call in past.calls)


async def _opening(session: AsyncSession, run: str, base: int) -> str:
    row = await session.get(MessageRow, (run, base, 0))
    return row.text if row else ""
