"""An approval as the API shows it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from keyturn.approvals.view import summary as view_summary
from keyturn.orchestrator.rules.authority.binding import DecisionKind
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.money.money import Money, format_minor
from keyturn.orchestrator.rules.status import ApprovalStatus
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.approvals import claims, eligibility, siblings
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger import keys
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import ApprovalRow, DecisionRow


class MoneyBody(BaseModel):
    """An amount in minor units with its currency."""

    model_config = ConfigDict(frozen=True)

    amount: int
    currency: str
    text: str = Field(description="The amount in major units")


class Decision(BaseModel):
    """One person's decision; `arguments` if they edited the action."""

    model_config = ConfigDict(frozen=True)

    person: str
    person_name: str
    decision: DecisionKind
    arguments: dict[str, JsonValue] | None
    reason: str | None
    at: datetime


class Approval(BaseModel):
    """A request for people to decide on an action.

    `binding` is null while the facts of an edited action are read again; `effective`
    are the arguments after a person's edit; `model_words` is the model's reason.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    run: str
    call: str = Field(description="`run:turn.index`")
    tool: str
    status: ApprovalStatus
    arguments: dict[str, JsonValue]
    effective: dict[str, JsonValue] | None
    preview: JsonValue
    summary: str
    money: MoneyBody | None
    rule: str
    needed: int
    given: int
    role: str
    binding: str | None
    answer_by: datetime
    usable_until: datetime | None
    undo_until: datetime | None = Field(
        description="Until when the decision can be undone with `:undo`"
    )
    claimed_by: str | None = Field(
        description="Who has claimed it now; others cannot approve it"
    )
    claimed_name: str | None
    claim_until: datetime | None
    edited_by: str | None = Field(description="Who edited the model's draft")
    waits_for: list[str] = Field(
        description="Calls that must be done before this can be approved"
    )
    assigned: bool = Field(description="Whether the system assigns who decides it")
    assigned_to: str | None = Field(description="The person it is assigned to")
    team: str | None
    language: str | None
    level: int = Field(description="How often it was escalated")
    extended: int = Field(description="How often its deadline was extended")
    decisions: list[Decision]
    tenant: str
    workflow: str
    customer: str
    subject: str | None
    revision: int
    model_words: str
    closed_because: str | None
    consumed_by: str | None = Field(description="The effect that used this approval")
    created_at: datetime
    closed_at: datetime | None


def money_body(amount: int | None, currency: str | None) -> MoneyBody | None:
    """Return an amount with its currency, or None if there is none."""
    if amount is None or currency is None:
        return None
    text = format_minor(amount, currency)
    return MoneyBody(amount=amount, currency=currency, text=text)


def body(
    row: ApprovalRow,
    release: Release,
    given: Sequence[DecisionRow],
    *,
    now: datetime,
    waits_for: Sequence[str] = (),
) -> Approval:
    """Return an approval's body, with the claim that holds `now`."""
    holder = claims.holder(row, now=now)
    return Approval(
        **_same(row),
        call=f"{row.run}:{row.turn}.{row.index}",
        status=row.status,
        arguments=_object(row.arguments),
        effective=_object(row.effective) if row.effective else None,
        preview=canonical.parse(row.preview) if row.preview is not None else None,
        summary=summary_of(row, release),
        money=money_body(row.amount, row.currency),
        given=len(eligibility.who_agreed(row, given)),
        claimed_by=holder,
        claimed_name=row.claimed_name if holder else None,
        claim_until=row.claim_until if holder else None,
        waits_for=list(waits_for),
        assigned=eligibility.is_assigned(row),
        decisions=[_decision(one) for one in given],
        model_words=row.reason,
    )


def summary_of(row: ApprovalRow, release: Release) -> str:
    """Return one plain sentence of what will happen."""
    money = None
    if row.amount is not None and row.currency is not None:
        money = Money(row.amount, row.currency)
    return view_summary.sentence(
        view_summary.Action(
            spec=release.tool(row.tool),
            arguments=_object(row.effective or row.arguments),
            customer=row.customer,
            money=money,
        )
    )


async def bodies(session: Tx, rows: Sequence[ApprovalRow]) -> list[Approval]:
    """Return the bodies of many approvals, with their decisions."""
    given = await approval_lookup.decisions_of(session, [row.id for row in rows])
    found: list[Approval] = []
    for row in rows:
        release = await releases.load(session, row.release)
        others = await siblings.waits_for(session, row, release)
        waits_for = [keys.call_id(one) for one in others]
        decided = given.get(row.id, ())
        found.append(body(row, release, decided, now=session.now, waits_for=waits_for))
    return found


async def many(store: Store, rows: Sequence[ApprovalRow]) -> list[Approval]:
    """Return the current bodies of approvals."""
    async with store.read() as session:
        await session.read_clock()
        return await bodies(session, rows)


async def one(store: Store, row: ApprovalRow) -> Approval:
    """Return the current body of one approval."""
    [found] = await many(store, [row])
    return found


def _same(row: ApprovalRow) -> Mapping[str, Any]:
    """Return the fields that the body has under the row's own names and types."""
    names = (
        "id",
        "run",
        "tool",
        "rule",
        "needed",
        "role",
        "binding",
        "answer_by",
        "usable_until",
        "undo_until",
        "tenant",
        "workflow",
        "customer",
        "subject",
        "edited_by",
        "assigned_to",
        "team",
        "language",
        "level",
        "extended",
        "revision",
        "closed_because",
        "consumed_by",
        "created_at",
        "closed_at",
    )
    return {name: getattr(row, name) for name in names}


def _decision(row: DecisionRow) -> Decision:
    return Decision(
        person=row.person,
        person_name=row.person_name,
        decision=row.decision,
        arguments=_object(row.arguments) if row.arguments else None,
        reason=row.reason,
        at=row.at,
    )


def _object(text: str) -> dict[str, JsonValue]:
    value = canonical.parse(text)
    return value if isinstance(value, dict) else {}
