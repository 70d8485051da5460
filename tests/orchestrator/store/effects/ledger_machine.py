"""A Hypothesis machine: workers that die and come late, people, switches and clocks."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from keyturn.orchestrator.rules.errors import KeyturnError, NotFound
from keyturn.orchestrator.rules.status import COUNTED_EFFECTS, OPEN_EFFECTS
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.effects import errors, resolution
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.ledger.effects import Grant, LeaseAnswer
from keyturn.orchestrator.store.runs import control, end, messages
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    DecisionRow,
    EffectRow,
)
from tests.databases import warm
from tests.orchestrator.store.clock import Hands
from tests.orchestrator.store.desk import Desk, refund
from tests.orchestrator.store.effects.provider import FATES, Fate, Provider, Sent

LIMIT = 100_00
JUMPS = (1, 6, 20, 3_000, 4_000, 90_000, 700_000)
HOLDERS = ("h1", "h2", "h3")
T = TypeVar("T")


@dataclass(frozen=True)
class Template:
    """A desk that is copied for each example, with the key that signs there."""

    fresh: Callable[[], AbstractContextManager[str]]
    desk: Desk


class Ledger(RuleBasedStateMachine):
    """All that may happen to effects, in any order."""

    def __init__(self, template: Template) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self._own = template.fresh()
        made, clock = template.desk, Hands()
        url, timeout = self._own.__enter__(), timedelta(seconds=9)
        store = warm(Store(url, clock=clock, transaction_timeout=timeout))
        self.desk = Desk(store, clock, made.signer, made.trust, made.release)
        self.provider = Provider()
        self.runs: list[str] = []
        self.most = 1
        self.granted: list[tuple[str, Grant]] = []
        self.sent: list[Sent] = []
        self.sends: Counter[str] = Counter()
        self.unknown_after: dict[str, int] = {}
        self.holders = count()

    def do(self, work: Awaitable[T]) -> T:
        async def done() -> T:
            return await work

        return self.loop.run_until_complete(done())

    def teardown(self) -> None:
        try:
            self.do(self._settle())
            self.do(self.desk.store.close())
        finally:
            self._own.__exit__(None, None, None)
            self.loop.close()

    # What is asked for, and what people say.

    @initialize(most=st.integers(1, 4))
    def open(self, most: int) -> None:
        """Take few runs: one alone has the longest story, several contend."""
        self.most = most

    @precondition(lambda self: len(self.runs) < self.most)
    @rule(
        tool=st.sampled_from(("refund", "top_up")),
        order=st.sampled_from(("o1", "o2", "o3")),
        cents=st.sampled_from((5_00, 40_00, 70_00)),
    )
    def start(self, tool: str, order: str, cents: int) -> None:
        run = self.do(self.desk.start())
        drafted = refund(cents, order=order).model_copy(update={"tool": tool})
        self.do(self.desk.draft(run, drafted))
        self.runs.append(run)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), who=st.sampled_from(("amy", "bob")), yes=st.integers(0, 4))
    def decide(self, data: st.DataObject, who: str, yes: int) -> None:
        waiting = self.do(self.desk.rows(ApprovalRow, status="pending"))
        if waiting:
            one = data.draw(st.sampled_from(sorted(waiting, key=lambda row: row.id)))
            decision = "approve" if yes else "reject"
            self.do(_may_fail(self.desk.answer(one, decision, who)))

    # What workers do, one after another and at once.

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), holder=st.sampled_from(HOLDERS))
    def lease(self, data: st.DataObject, holder: str) -> None:
        run = data.draw(st.sampled_from(self.runs))
        self._save(holder, self.do(self._lease(run, holder)))

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def lease_at_once(self, data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(self.runs), min_size=2, max_size=4))

        async def rush() -> list[LeaseAnswer]:
            work = (self._lease(run, f"r{n}") for n, run in enumerate(chosen))
            return await asyncio.gather(*work)

        for n, answer in enumerate(self.do(rush())):
            self._save(f"r{n}", answer)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), fate=st.sampled_from(FATES))
    def lease_and_begin(self, data: st.DataObject, fate: Fate) -> None:
        run = data.draw(st.sampled_from(self.runs))
        answer = self.do(self._lease(run, "h4"))
        self._save("h4", answer)
        if answer.grant is not None:
            holder, grant = self.granted[-1]
            if self.do(self.desk.begin(grant, holder=holder)).may_send:
                self._send(grant, fate)

    @precondition(lambda self: self.granted)
    @rule(data=st.data(), fate=st.sampled_from(FATES), times=st.integers(1, 2))
    def begin(self, data: st.DataObject, fate: Fate, times: int) -> None:
        holder, grant = data.draw(st.sampled_from(self.granted))

        async def twice() -> list[bool]:
            work = (self.desk.begin(grant, holder=holder) for _ in range(times))
            return [one.may_send for one in await asyncio.gather(*work)]

        for may_send in self.do(twice()):
            if may_send:
                self._send(grant, fate)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), is_cut=st.booleans())
    def report(self, data: st.DataObject, is_cut: bool) -> None:  # noqa: FBT001 drawn
        """Record what came back, however late; again, what was said before."""
        one = data.draw(st.sampled_from(self.sent))
        one.said = one.said or ("unknown" if is_cut else one.truth)
        self.do(self.desk.record(one.grant, one.said))
        if one.said == "not_sent":
            # Somebody says for certain that this attempt reached nobody.
            self.unknown_after.pop(one.grant.key, None)

    @precondition(lambda self: self.granted or self.sent)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        """Lose all that a worker had in hand; nobody hears of it."""
        place = data.draw(st.sampled_from(("granted", "sent")))
        hand: list[object] = getattr(self, place)
        if hand:
            hand.pop(data.draw(st.integers(0, len(hand) - 1)))

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs))
        self.do(self.desk.give_up(run))

    # What people and the look-up find out.

    @rule(data=st.data())
    def resolve(self, data: st.DataObject) -> None:
        found = self.do(self.desk.rows(EffectRow, status="unknown"))
        if found:
            one = data.draw(st.sampled_from(sorted(found, key=lambda row: row.key)))
            self.do(self._find_out(one.key))

    # What operators and customers do, and time.

    @rule(by=st.sampled_from(JUMPS))
    def wait(self, by: int) -> None:
        self.desk.clock.go_on(timedelta(seconds=by))

    @rule(
        mode=st.sampled_from(("halt", "disable", "require_approval")),
        tool=st.sampled_from(("refund", "top_up")),
    )
    def switch(self, mode: str, tool: str) -> None:
        # One that would hold less than what is set is refused.
        self.do(_may_fail(self.desk.switch(mode, name=f"s-{tool}", tool=tool)))

    @rule(tool=st.sampled_from(("refund", "top_up")))
    def lift(self, tool: str) -> None:
        lifted = switches.clear(self.desk.store, f"s-{tool}", by="lea", reason="over")
        self.do(_may_fail(lifted))

    @precondition(lambda self: self.runs)
    @rule(
        data=st.data(),
        what=st.sampled_from(("pause", "resume", "wrote", "cancel", "finish")),
    )
    def hold(self, data: st.DataObject, what: str) -> None:
        run, store = data.draw(st.sampled_from(self.runs)), self.desk.store
        works: dict[str, Callable[[], Awaitable[object]]] = {
            "pause": lambda: control.pause(store, run, by="lea", reason="look"),
            "resume": lambda: control.resume(store, run, by="lea", reason="seen"),
            "cancel": lambda: control.cancel(store, run, by="lea", reason="enough"),
            "wrote": lambda: messages.customer_wrote(
                store, run, text="and?", external_id=None, by="lea"
            ),
            "finish": lambda: end.finish(
                store, run, end.Ending(outcome="handed_off", reason="enough")
            ),
        }
        self.do(_may_fail(works[what]()))

    # What must hold after every step.

    @invariant()
    def holds(self) -> None:
        effects = self.do(self.desk.rows(EffectRow))
        self._nothing_happens_twice(effects)
        _one_open_effect_a_subject(effects)
        self._money_is_within_its_limit(effects)
        self._unknown_is_not_sent_again(effects)
        self._what_happened_is_counted(effects)
        self.do(self._authority_is_proven(effects))
        self.do(self._open_calls_are_not_answered(effects))

    def _nothing_happens_twice(self, effects: list[EffectRow]) -> None:
        calls = Counter(
            (e.run, e.turn, e.index) for e in effects for _ in range(self._booked(e))
        )
        assert not [call for call, times in calls.items() if times > 1]
        may_have_sent = Counter(
            (e.run, e.turn, e.index) for e in effects if e.status in COUNTED_EFFECTS
        )
        assert not [call for call, times in may_have_sent.items() if times > 1]

    def _money_is_within_its_limit(self, effects: list[EffectRow]) -> None:
        counted = sum(e.amount or 0 for e in effects if e.status in COUNTED_EFFECTS)
        assert counted <= LIMIT
        assert sum((e.amount or 0) * self._booked(e) for e in effects) <= counted

    def _unknown_is_not_sent_again(self, effects: list[EffectRow]) -> None:
        for one in effects:
            if one.status == "unknown":
                self.unknown_after.setdefault(one.key, self.sends[one.key])
        for key, times in self.unknown_after.items():
            assert self.sends[key] == times, key

    def _what_happened_is_counted(self, effects: list[EffectRow]) -> None:
        for one in effects:
            if self._booked(one):
                assert one.status in COUNTED_EFFECTS, one
                assert one.sending_at is not None

    async def _authority_is_proven(self, effects: list[EffectRow]) -> None:
        by_id = {row.id: row for row in await self.desk.rows(ApprovalRow)}
        given = Counter(
            row.approval
            for row in await self.desk.rows(DecisionRow, decision="approve")
        )
        for one in effects:
            if one.status not in COUNTED_EFFECTS or one.approval is None:
                continue
            approval = by_id[one.approval]
            assert approval.consumed_by == one.key
            assert given[one.approval] >= approval.needed

    async def _open_calls_are_not_answered(self, effects: list[EffectRow]) -> None:
        calls = {(c.run, c.turn, c.index): c for c in await self.desk.rows(CallRow)}
        for one in effects:
            call = calls[one.run, one.turn, one.index]
            if one.status in OPEN_EFFECTS:
                assert (call.status, call.result) == ("open", None), one
            if one.status in ("done", "failed"):
                assert call.status == one.status

    def _booked(self, effect: EffectRow) -> int:
        return self.provider.booked[effect.key]

    async def _lease(self, run: str, holder: str) -> LeaseAnswer:
        # Each attempt of `perform` is a holder of its own.
        return await self.desk.lease(run, holder=f"{holder}/{next(self.holders)}")

    def _save(self, holder: str, answer: LeaseAnswer) -> None:
        if answer.grant is not None:
            effect = self.do(self.desk.effect(answer.grant.key))
            assert effect.holder.startswith(holder)
            self.granted.append((effect.holder, answer.grant))

    def _send(self, grant: Grant, fate: Fate) -> None:
        tool = self.do(self.desk.effect(grant.key)).tool
        truth = self.provider.take(
            grant.key, fate, honours=tool == "top_up", at=self.desk.clock.at
        )
        self.sends[grant.key] += 1
        self.sent.append(Sent(grant, truth))

    async def _find_out(self, key: str) -> None:
        found = Resolution(
            happened=self.provider.booked[key] > 0,
            evidence="the provider's books",
            person="lea",
            person_name="Lea",
        )
        # What may still be carried out is looked into again later.
        with suppress(errors.NotSettled):
            await resolution.resolve(self.desk.store, key, found)

    async def _settle(self) -> None:
        """Bring everything to its end: nothing may be stuck, whatever happened."""
        for tool in ("refund", "top_up"):
            lifted = switches.clear(
                self.desk.store, f"s-{tool}", by="lea", reason="over"
            )
            await _may_fail(lifted)
        for run in self.runs:
            resumed = control.resume(self.desk.store, run, by="lea", reason="over")
            await _may_fail(resumed)
        for _ in range(12):
            if not [
                await self._press(run) for run in self.runs if await self._open(run)
            ]:
                return
        left = [await self.desk.call(run) for run in self.runs]
        raise AssertionError(left)

    async def _open(self, run: str) -> bool:
        return (await self.desk.call(run)).status == "open"

    async def _press(self, run: str) -> None:
        self.desk.clock.go_on(timedelta(minutes=1))
        answer = await self._lease(run, "end")
        match answer.kind:
            case "leased" if answer.grant is not None:
                effect = await self.desk.effect(answer.grant.key)
                if (await self.desk.begin(answer.grant, holder=effect.holder)).may_send:
                    self._late(answer.grant, effect)
                    await self.desk.record(answer.grant, "done")
            case "unknown":
                (one,) = await self.desk.rows(EffectRow, run=run, status="unknown")
                await self._find_out(one.key)
            case "waiting":
                await self.desk.decide(run)
            case _:
                pass

    def _late(self, grant: Grant, effect: EffectRow) -> None:
        honours = effect.tool == "top_up"
        self.provider.take(grant.key, "done", honours=honours, at=self.desk.clock.at)
        assert self.provider.booked[grant.key] <= 1


def _one_open_effect_a_subject(effects: list[EffectRow]) -> None:
    open_ones = Counter(e.subject for e in effects if e.status in OPEN_EFFECTS)
    assert not [subject for subject, times in open_ones.items() if times > 1]


async def _may_fail(work: Awaitable[Any]) -> None:
    """Let people be refused: too late, not theirs, ended or not there."""
    with suppress(KeyturnError, NotFound):
        await work
