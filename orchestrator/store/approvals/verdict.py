"""The verdict on an action, with the recorded facts: money moved, repetitions.

The rule itself is `rules.policy.verdict`; a draft, an edit and the lease ask here
(P11).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from keyturn.orchestrator.rules.authority.switch import Switch, covering
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy import stakes, verdict
from keyturn.orchestrator.rules.policy.rules import NO_AMOUNT, Action, Verdict
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger import limits, reach, repeats
from keyturn.orchestrator.store.switches import active as switch_active
from keyturn.orchestrator.store.tables import RunRow


@dataclass(frozen=True)
class Proposed:
    """An action as it would be carried out now.

    `own` is the release of the code that would carry it out, if that code knows it.
    `money` is what the action moves, as far as it is known; `key` is its effect's key;
    `takes_back` is the key of the payment that it compensates, as drafted.
    """

    run: RunRow
    tool: str
    arguments: JsonValue
    pinned: Release
    live: Release
    money: Money | None
    key: str
    takes_back: str | None = None
    own: Release | None = None

    @property
    def releases(self) -> list[Release]:
        """Return the releases that judge the action."""
        return [self.pinned, self.live, *([self.own] if self.own else [])]

    def moves(self) -> Money | None:
        """Return the money that the action moves, by either release."""
        return stakes.money(
            self.pinned, self.live, self.tool, self.arguments, self.money
        )

    def subject(self) -> str | None:
        """Return the action's subject, by either release."""
        return stakes.subject(self.releases, self.tool, self.arguments)

    async def touched(self, session: Tx) -> reach.Reach:
        """Return the customer and the subject that the action touches."""
        return await reach.of(
            session, self.run, self.tool, self.releases, subject=self.subject()
        )


async def of(session: Tx, one: Proposed, active: Sequence[Switch]) -> Verdict:
    """Return the verdict of policy and switches on an action now, and the reason."""
    money = one.moves()
    if money is None and stakes.moves_money(one.releases, one.tool):
        return NO_AMOUNT
    touched = await one.touched(session)
    counting = limits.Counting(touched, tuple(one.releases), one.key, one.takes_back)
    before = await limits.before(session, counting, money=money)
    action = Action(
        tool=one.tool,
        arguments=one.arguments if isinstance(one.arguments, dict) else {},
        money=money,
        moved=before.amount,
        mixed=before.is_mixed,
        repeated=await repeats.is_repeated(session, touched),
    )
    found = verdict.combine(
        (release.rules for release in one.releases), action, _covering(active, one)
    )
    if found.kind != "deny" or not before:
        return found
    counted = await limits.counted_for_customer(
        session, counting, tenant=one.run.tenant
    )
    return found.model_copy(update={"counted": counted})


async def is_repeated(session: Tx, one: Proposed) -> bool:
    """Tell whether an action on the same subject is done already."""
    return await repeats.is_repeated(session, await one.touched(session))


def _covering(active: Sequence[Switch], one: Proposed) -> list[Switch]:
    target = switch_active.tool_targets(
        tenant=one.run.tenant,
        workflow=one.run.workflow,
        tool=one.tool,
        corpora=one.pinned.tool(one.tool).corpora,
    )
    return covering(active, target)
