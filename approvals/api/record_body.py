"""The parts of a run's record, as the API shows them."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from keyturn.approvals.api.approval_body import MoneyBody, money_body
from keyturn.approvals.api.run_body import Usd, usd
from keyturn.approvals.view import effect_words
from keyturn.orchestrator.rules.status import CallStatus, EffectStatus, Gate
from keyturn.orchestrator.rules.text import canonical, model_notices
from keyturn.orchestrator.store.budgets import settlement
from keyturn.orchestrator.store.tables import (
    AttemptRow,
    AuditRow,
    CallRow,
    EffectRow,
    TurnRow,
)


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Step(_Row):
    """One `ask` or `act` of a run."""

    step: int
    name: str
    kind: str
    instructions: str
    output: dict[str, JsonValue] | None
    created_at: datetime


class Turn(_Row):
    """One turn: a model call and its cost."""

    turn: int
    step: int
    model: str | None
    provider: str | None
    tokens: int
    cost_usd: Usd
    duration_ms: int
    result: JsonValue
    created_at: datetime


class Message(_Row):
    """One message of the transcript."""

    turn: int
    index: int
    role: str
    text: str
    created_at: datetime


class CustomerMessage(_Row):
    """A message from the customer after the start; `turn` is the turn that read it."""

    text: str
    external_id: str | None
    turn: int | None
    created_at: datetime


class Note(_Row):
    """A person's note on a run."""

    person: str
    person_name: str
    kind: str
    text: str
    created_at: datetime


class Call(_Row):
    """One tool call, with the model's arguments and the effective ones."""

    id: str = Field(description="`run:turn.index`")
    turn: int
    index: int
    revision: int
    tool: str
    authority: str
    provider_id: str
    arguments: JsonValue
    effective: JsonValue
    gate: Gate
    verdict: dict[str, JsonValue] | None
    subject: str | None
    status: CallStatus
    result: str | None
    held_by: str | None = Field(
        description="What holds it: `pause by ID` or `switch ID`"
    )
    held_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


class Attempt(_Row):
    """One request to a model."""

    id: str
    turn: int
    number: int
    provider: str
    model: str
    status: str
    held_tokens: int
    held_usd: Usd
    input_tokens: int
    output_tokens: int
    cost_usd: Usd
    error: str | None
    failure: str | None = Field(description="The kind of failure")
    reply: dict[str, JsonValue] | None
    created_at: datetime
    settled_at: datetime | None


class Effect(_Row):
    """An action being carried out, as recorded in the ledger."""

    key: str = Field(description="`run:turn.index.revision`")
    run: str
    call: str
    tenant: str
    workflow: str
    customer: str
    tool: str
    subject: str | None
    status: EffectStatus
    attempt: int
    arguments: JsonValue
    preview: JsonValue
    money: MoneyBody | None
    approval: str | None
    approvers: list[str]
    receipt: dict[str, JsonValue] | None
    error: str | None
    evidence: str | None
    recorded_by: str | None
    later: dict[str, JsonValue] | None = Field(
        description="For a done effect: the report that it failed or was reversed later"
    )
    reopened_at: datetime | None = Field(
        description="Set while a person has to find out whether it is still done"
    )
    created_at: datetime
    sending_at: datetime | None
    ended_at: datetime | None


class AuditEntry(_Row):
    """One audit entry; it has `position` and `hash` once it is sealed."""

    id: int
    at: datetime
    actor: str
    kind: str
    tenant: str | None
    run: str | None
    subject: str | None
    payload: JsonValue
    position: int | None
    previous: str | None
    hash: str | None


def turn(row: TurnRow) -> Turn:
    """Return a turn's body."""
    shown = row.model_dump(include=set(Turn.model_fields) - {"result"})
    return Turn(
        **shown, cost_usd=usd(row.cost_microusd), result=canonical.parse(row.result)
    )


def call(row: CallRow) -> Call:
    """Return a call's body."""
    parsed = {"arguments", "effective", "gate", "status", "result"}
    return Call(
        **row.model_dump(include=set(Call.model_fields) - parsed),
        id=f"{row.run}:{row.turn}.{row.index}",
        arguments=canonical.parse(row.arguments),
        effective=canonical.parse(row.effective) if row.effective else None,
        gate=row.gate,
        status=row.status,
        result=None if row.result is None else model_notices.for_people(row.result),
    )


def attempt(row: AttemptRow, *, is_operator: bool) -> Attempt:
    """Return an attempt's body; only operators see the provider's error text."""
    shown = row.model_dump(include=set(Attempt.model_fields))
    if row.failure not in (None, settlement.LOST) and not is_operator:
        shown["error"] = f"{row.failure.replace('_', ' ')}; reference {row.id}"
    return Attempt(
        **shown,
        held_usd=usd(row.held_microusd),
        cost_usd=usd(row.cost_microusd),
    )


def effect(row: EffectRow, *, is_operator: bool) -> Effect:
    """Return an effect's body; only operators see why its outcome is unknown."""
    parsed = {"arguments", "preview", "status", "error"}
    return Effect(
        **row.model_dump(include=set(Effect.model_fields) - parsed),
        call=f"{row.run}:{row.turn}.{row.index}",
        status=row.status,
        error=effect_words.error(row, is_operator=is_operator),
        arguments=canonical.parse(row.arguments),
        preview=canonical.parse(row.preview),
        money=money_body(row.amount, row.currency),
    )


def audit_entry(row: AuditRow, *, is_operator: bool) -> AuditEntry:
    """Return an audit entry's body; only operators see all of it."""
    shown = row.model_dump(include=set(AuditEntry.model_fields) - {"payload"})
    payload = effect_words.payload(
        row.kind, row.subject, canonical.parse(row.payload), is_operator=is_operator
    )
    return AuditEntry(**shown, payload=payload)
