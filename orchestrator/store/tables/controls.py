"""Tables of switches, proposals, incidents and notices."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Index,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel

from keyturn.orchestrator.rules.authority.switch import Mode
from keyturn.orchestrator.rules.notice import AccountKind, Channel, NoticeKind
from keyturn.orchestrator.rules.status import (
    IncidentStatus,
    ReconciliationStatus,
    Severity,
)
from keyturn.orchestrator.store.tables import columns
from keyturn.orchestrator.store.tables.columns import DEAD


class SwitchRow(SQLModel, table=True):
    """A runtime control; cleared ones stay as history."""

    __tablename__ = "switches"  # pyright: ignore[reportAssignmentType] see above

    id: str = Field(primary_key=True)
    scope: dict[str, Any] = columns.json_column(nullable=False)
    mode: Mode = columns.word()
    value: str | None = None
    reason: str
    author: str
    created_at: datetime = columns.time_column()
    until: datetime | None = columns.time_column_or_none()
    cleared_at: datetime | None = columns.time_column_or_none(index=True)
    cleared_by: str | None = None
    clear_reason: str | None = None


class ProposalRow(SQLModel, table=True):
    """A loosening that one person proposed and another one confirms (P11)."""

    __tablename__ = "proposals"  # pyright: ignore[reportAssignmentType] see above

    id: str = Field(primary_key=True)
    kind: str
    target: dict[str, Any] = columns.json_column(nullable=False)
    tenant: str | None = None
    reason: str
    # The hash of a proposed password, until it is answered; never shown or logged.
    secret: str | None = None
    status: str = Field(default="open", index=True)
    proposed_by: str
    proposed_name: str
    created_at: datetime = columns.time_column()
    ends_at: datetime = columns.time_column()
    decided_by: str | None = None
    decided_name: str | None = None
    decided_at: datetime | None = columns.time_column_or_none()
    outcome: str | None = None
    mac: str | None = None


class IncidentRow(SQLModel, table=True):
    """Something that a person has to look into, until it is closed."""

    __tablename__ = "incidents"  # pyright: ignore[reportAssignmentType] see above

    id: str = Field(primary_key=True)
    severity: Severity = columns.word()
    title: str
    source: str = Field(unique=True)
    detail: dict[str, Any] = columns.scrubbed_column(nullable=False)
    tenant: str | None = None
    status: IncidentStatus = columns.word("open", index=True)
    opened_by: str
    # The accounts it concerns: none of them may close it if it is critical.
    named: list[str] = columns.texts()
    created_at: datetime = columns.time_column()
    closed_at: datetime | None = columns.time_column_or_none()
    closed_by: str | None = None
    close_reason: str | None = None


class MatchingRow(SQLModel, table=True):
    """One matching of the ledger with the statement and the mail log."""

    __tablename__ = "matchings"  # pyright: ignore[reportAssignmentType] see above

    id: str = Field(primary_key=True)
    status: ReconciliationStatus = columns.word(index=True)
    asked_by: str
    asked_at: datetime = columns.time_column(index=True)
    since: datetime | None = columns.time_column_or_none()
    until: datetime | None = columns.time_column_or_none()
    statement: dict[str, Any] | None = columns.json_column()
    mail: dict[str, Any] | None = columns.json_column()
    ended_at: datetime | None = columns.time_column_or_none()


class WebhookRow(SQLModel, table=True):
    """Where notices are posted; the signing secret is derived from `seed`.

    A copy of this table signs nothing: the key that the secret also needs is not in it.
    """

    __tablename__ = "webhooks"  # pyright: ignore[reportAssignmentType] see above

    id: str = Field(primary_key=True)
    url: str
    seed: str
    old_seed: str | None = None
    old_until: datetime | None = columns.time_column_or_none()
    tenant: str | None = None
    events: list[str] = columns.texts()
    with_arguments: bool = False
    created_by: str
    created_at: datetime = columns.time_column()
    disabled_at: datetime | None = columns.time_column_or_none()
    disabled_because: str | None = None


class NoticeRow(SQLModel, table=True):
    """One notice to one recipient, sent until it is accepted or given up."""

    __tablename__ = "notices"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        UniqueConstraint("event", "channel", "target"),
        Index("notices_due", "done_at", "dead_at", "due_at"),
        Index("notices_by_target", "channel", "target", "done_at"),
        columns.partial_index("notices_dead", "id", condition=DEAD),
    )

    id: int | None = Field(default=None, primary_key=True)
    event: str
    kind: NoticeKind | AccountKind = columns.word()
    channel: Channel = columns.word()
    target: str
    tenant: str | None = None
    run: str | None = None
    approval: str | None = Field(default=None, index=True)
    payload: dict[str, Any] = columns.json_column(nullable=False)
    created_at: datetime = columns.time_column()
    due_at: datetime = columns.time_column()
    claimed_until: datetime | None = columns.time_column_or_none()
    tries: int = 0
    last_error: str | None = columns.error_words()
    done_at: datetime | None = columns.time_column_or_none()
    dead_at: datetime | None = columns.time_column_or_none()
