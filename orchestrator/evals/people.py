"""The people of a case: they give the case's answers, and nothing else."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from pydantic import JsonValue

from keyturn.orchestrator.evals import record
from keyturn.orchestrator.evals.case import Case, Decide
from keyturn.orchestrator.evals.engine import Engine
from keyturn.orchestrator.evals.record import Record
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.rules.text import json_object
from keyturn.orchestrator.store.approvals import decide as approval_decide
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.runs import messages
from keyturn.orchestrator.store.tables import ApprovalRow

LOOK_S = 0.05
# A run whose approvals nobody will answer counts as idle after this time.
REST_S = 1.0
CASE_TIMEOUT_S = 90.0


class CaseTimedOut(KeyturnError):
    """A case's run neither ended nor became idle."""


@dataclass
class People:
    """Answers one run's approvals until it has ended or waits for nobody."""

    engine: Engine
    case: Case
    run: str
    _given: Counter[str] = field(default_factory=Counter[str])
    _chosen: dict[str, Decide | None] = field(default_factory=dict[str, Decide | None])
    _has_written: bool = False

    async def see_to(self) -> Record:
        """Return the run's record at its end, or when it is idle."""
        try:
            async with asyncio.timeout(CASE_TIMEOUT_S):
                return await self._until_rest()
        except TimeoutError:
            raise CaseTimedOut(
                f"The run {self.run} neither ended nor waited within "
                f"{CASE_TIMEOUT_S:g} s."
            ) from None

    async def _until_rest(self) -> Record:
        clock = asyncio.get_running_loop()
        since, before = clock.time(), None
        while True:
            found = await record.read(self.engine, self.run)
            if found.run.status in ENDED_RUNS:
                return found
            await self._answer(found)
            if before != (before := _state(found)) or not self._is_left_alone(found):
                since = clock.time()
            if clock.time() - since > REST_S:
                return found
            await asyncio.sleep(LOOK_S)

    def _is_left_alone(self, found: Record) -> bool:
        """Return whether the run waits for an action that nobody in this case takes."""
        pending = [a for a in found.approvals if a.status == "pending"]
        decided = [self._decide(row) for row in pending]
        is_unknown = any(effect.status == "unknown" for effect in found.effects)
        return is_unknown or (bool(pending) and not any(decided))

    async def _answer(self, found: Record) -> None:
        waiting = [a for a in found.approvals if a.status == "pending" and a.binding]
        if waiting and self.case.writes and not self._has_written:
            self._has_written = True
            await messages.customer_wrote(
                self.engine.store,
                self.run,
                text=self.case.writes,
                external_id=None,
                by="eval",
            )
            await self.engine.deliverer.deliver(self.run)
            return
        for row in waiting:
            decide = self._decide(row)
            if decide is not None:
                await self._give(row, decide)

    def _decide(self, row: ApprovalRow) -> Decide | None:
        """Return the case's answer to this approval; the same one each time."""
        if row.id not in self._chosen:
            own = [one for one in self.case.decide if one.tool == row.tool]
            count = self._given[row.tool]
            self._given[row.tool] += 1
            self._chosen[row.id] = own[count] if count < len(own) else self._usual(row)
        return self._chosen[row.id]

    def _usual(self, row: ApprovalRow) -> Decide | None:
        match self.case.otherwise:
            case "none":
                return None
            case "approve":
                return Decide(tool=row.tool, decision="approve")
            case "reject":
                return Decide(tool=row.tool, decision="reject", reason="Not justified.")

    async def _give(self, row: ApprovalRow, decide: Decide) -> None:
        edited = _edited(row, decide)
        for person in self._fit(row)[: row.needed]:
            answer = Answer(
                decision=decide.decision,
                binding=row.binding or "",
                arguments=edited,
                reason=decide.reason,
            )
            try:
                await approval_decide.decide(
                    self.engine.store,
                    self.engine.signer,
                    person,
                    row.id,
                    answer,
                    may_undo=False,
                )
            except KeyturnError:
                # It was decided or voided meanwhile; the next look shows it.
                break
        await self.engine.deliverer.deliver(self.run)

    def _fit(self, row: ApprovalRow) -> list[Person]:
        """Return who may decide it: nobody whose words led the model to it."""
        least = APPROVER_RANK[row.role]
        staff = [one for one in self.engine.staff if one.id not in row.not_by]
        return [p for p in staff if APPROVER_RANK.get(p.role, 0) >= least]


def _state(found: Record) -> tuple[object, ...]:
    """Return the values that differ while the run is still changing."""
    calls = tuple((c.turn, c.index, c.status, c.gate) for c in found.calls)
    return found.run.status, calls, tuple(a.status for a in found.approvals)


def _edited(row: ApprovalRow, decide: Decide) -> dict[str, JsonValue] | None:
    if decide.arguments is None:
        return None
    shown = json_object.parse(row.arguments)
    return shown | decide.arguments
