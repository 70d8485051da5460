"""Tables of effects, and of deliveries to Temporal."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Index,
    text,
)
from sqlmodel import Field, SQLModel

from keyturn.orchestrator.rules.status import EffectStatus
from keyturn.orchestrator.store.tables import columns
from keyturn.orchestrator.store.tables.columns import TAKES_BACK, TO_FIND_OUT, UNDER_WAY

_BUSY = text("status IN ('leased', 'sending', 'unknown')")
_MAY_HAVE_SENT = text("status IN ('leased', 'sending', 'unknown', 'done')")


class EffectRow(SQLModel, table=True):
    """An action being carried out: the effect ledger.

    The two partial unique indexes are promise P2 in the database itself: one open
    effect a subject, however it is spelled, and one revision of a call that may send.
    `service`, `within_tenant`, `customer_key` and `subject_key` are its `Reach`;
    `compensates` is the payment that it takes back, as it was drafted from the record.
    """

    __tablename__ = "effects"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        Index(
            "one_open_effect_a_subject",
            "service",
            "within_tenant",
            "subject_key",
            unique=True,
            sqlite_where=_BUSY,
            postgresql_where=_BUSY,
        ),
        Index(
            "one_sending_revision_a_call",
            "run",
            "turn",
            "index",
            unique=True,
            sqlite_where=_MAY_HAVE_SENT,
            postgresql_where=_MAY_HAVE_SENT,
        ),
        Index("effects_by_customer", "tenant", "customer", "created_at"),
        Index("effects_by_customer_key", "customer_key", "created_at"),
        Index("effects_by_subject", "subject_key", "created_at"),
        Index("effects_by_status", "status", "key"),
        Index("effects_by_end", "status", "ended_at"),
        Index("effects_by_run", "run", "turn"),
        Index("effects_by_approval", "approval"),
        Index("effects_of_tenant", "tenant", "key"),
        Index("effects_of_workflow", "workflow", "key"),
        Index("effects_of_tool", "tool", "key"),
        Index("effects_of_customer", "customer", "key"),
        columns.partial_index(
            "effects_to_find_out", "key", "tenant", condition=TO_FIND_OUT
        ),
        columns.partial_index("effects_under_way", "key", condition=UNDER_WAY),
        columns.partial_index(
            "effects_that_take_back", "compensates", condition=TAKES_BACK
        ),
    )

    key: str = Field(primary_key=True)
    run: str = Field(foreign_key="runs.id")
    turn: int
    index: int
    revision: int
    tenant: str
    workflow: str
    customer: str
    tool: str
    corpora: list[str] = columns.json_column(nullable=False)
    subject: str | None = None
    service: str = ""
    within_tenant: str = ""
    customer_key: str
    subject_key: str | None = None
    status: EffectStatus = columns.word("leased")
    attempt: int = 1
    arguments: str
    preview: str
    binding: str
    approval: str | None = None
    approvers: list[str] = columns.json_column(nullable=False)
    amount: int | None = columns.big_integer(None)
    currency: str | None = None
    compensates: str | None = None
    holder: str
    lease_until: datetime = columns.time_column()
    idempotent_until: datetime | None = columns.time_column_or_none()
    receipt: dict[str, Any] | None = columns.json_column()
    error: str | None = columns.error_words()
    evidence: str | None = None
    recorded_by: str | None = None
    later: dict[str, Any] | None = columns.json_column()
    reopened_at: datetime | None = columns.time_column_or_none(index=True)
    created_at: datetime = columns.time_column()
    sending_at: datetime | None = columns.time_column_or_none()
    # The time of the first of the tries in which nothing could be sent.
    put_off_since: datetime | None = columns.time_column_or_none()
    ended_at: datetime | None = columns.time_column_or_none()


class OutboxRow(SQLModel, table=True):
    """A delivery to Temporal; ends when the store shows the outcome."""

    __tablename__ = "outbox"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (Index("outbox_due", "done_at", "due_at"),)

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    run: str = Field(foreign_key="runs.id", index=True)
    approval: str | None = None
    created_at: datetime = columns.time_column()
    due_at: datetime = columns.time_column()
    claimed_until: datetime | None = columns.time_column_or_none()
    tries: int = 0
    last_error: str | None = columns.error_words()
    done_at: datetime | None = columns.time_column_or_none()
