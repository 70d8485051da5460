"""Tables of approvals and decisions."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Index,
    UniqueConstraint,
    false,
)
from sqlmodel import Field, SQLModel

from keyturn.orchestrator.rules.authority.binding import DecisionKind
from keyturn.orchestrator.rules.status import ApprovalStatus
from keyturn.orchestrator.store.tables import columns
from keyturn.orchestrator.store.tables.columns import TO_ASSIGN, TO_WARN, WAITING


class ApprovalRow(SQLModel, table=True):
    """A request for a verdict by people on one revision of one call."""

    __tablename__ = "approvals"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        UniqueConstraint("run", "turn", "index", "revision"),
        Index("approvals_by_status", "status", "id"),
        Index("approvals_by_tenant", "tenant", "id"),
        Index("approvals_by_workflow", "workflow", "id"),
        Index("approvals_by_tool", "tool", "id"),
        Index("approvals_by_team", "team", "id"),
        Index("approvals_by_language", "language", "id"),
        # Counts, filters and fingerprints of the queue read only this index.
        columns.partial_index(
            "approvals_waiting",
            "answer_by",
            "id",
            "tenant",
            "tool",
            "workflow",
            "team",
            "language",
            "stamp",
            condition=WAITING,
        ),
        columns.partial_index("approvals_to_warn", "warn_at", condition=TO_WARN),
        columns.partial_index("approvals_to_assign", "id", condition=TO_ASSIGN),
    )

    id: str = Field(primary_key=True)
    run: str = Field(foreign_key="runs.id")
    turn: int
    index: int
    revision: int = 0
    tenant: str
    workflow: str
    customer: str
    tool: str
    subject: str | None = None
    status: ApprovalStatus = columns.word("waiting")
    arguments: str
    effective: str | None = None
    preview: str | None = None
    amount: int | None = columns.big_integer(None)
    currency: str | None = None
    verdict: dict[str, Any] = columns.json_column(nullable=False)
    rule: str
    needed: int
    role: str
    release: str
    policy: str
    binding: str | None = None
    effective_binding: str | None = None
    reason: str = ""
    not_by: list[str] = columns.json_column(nullable=False)
    # The reason for each of those; `steered` if none is given.
    barred: dict[str, str] | None = columns.json_column(nullable=True)
    edited_by: str | None = None
    team: str | None = None
    language: str | None = None
    claimed_by: str | None = Field(default=None, index=True)
    claimed_name: str | None = None
    claim_until: datetime | None = columns.time_column_or_none()
    assigned_to: str | None = Field(default=None, index=True)
    # The system draws the decider; `assigned_to` is the person it drew.
    assigns: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    redraft_of: str | None = None
    round: int = 0
    level: int = 0
    warn_at: datetime | None = columns.time_column_or_none()
    warned_at: datetime | None = columns.time_column_or_none()
    extended: int = 0
    answer_by: datetime = columns.time_column(index=True)
    usable_until: datetime | None = columns.time_column_or_none()
    undo_until: datetime | None = columns.time_column_or_none()
    consumed_by: str | None = None
    # The time since when its call is held, so that its clock stands still.
    held_at: datetime | None = columns.time_column_or_none()
    closed_because: str | None = None
    stamp: int = columns.stamp_column()
    created_at: datetime = columns.time_column()
    closed_at: datetime | None = columns.time_column_or_none()


class DecisionRow(SQLModel, table=True):
    """One person's answer, signed by the web process."""

    __tablename__ = "decisions"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        UniqueConstraint("approval", "person", "decision"),
        Index("decisions_by_person", "person", "id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    approval: str = Field(foreign_key="approvals.id", index=True)
    person: str
    person_name: str
    session: str
    decision: DecisionKind = columns.word()
    arguments: str | None = None
    reason: str | None = None
    binding: str
    effective: str
    # What it rested on, as canonical JSON: `binding.Grounds`. Earlier decisions have
    # none.
    grounds: str | None = None
    signature: str
    at: datetime = columns.time_column()


class DraftRow(SQLModel, table=True):
    """A person's unfinished edit of an approval; survives a conflict."""

    __tablename__ = "drafts"  # pyright: ignore[reportAssignmentType] see above

    approval: str = Field(primary_key=True, foreign_key="approvals.id")
    person: str = Field(primary_key=True)
    form: dict[str, Any] = columns.json_column(nullable=False)
    saved_at: datetime = columns.time_column()
    used_at: datetime | None = columns.time_column_or_none()


class OpeningRow(SQLModel, table=True):
    """Records that a person's page of an approval was open, and with which binding."""

    __tablename__ = "openings"  # pyright: ignore[reportAssignmentType] see above

    approval: str = Field(primary_key=True, foreign_key="approvals.id")
    session: str = Field(primary_key=True)
    binding: str = Field(primary_key=True)
    person: str
    at: datetime = columns.time_column()
