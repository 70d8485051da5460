"""Tables of the audit log, request keys and leases."""

from datetime import datetime

from sqlalchemy import (
    Index,
    text,
)
from sqlmodel import Field, SQLModel

from keyturn.orchestrator.store.tables import columns
from keyturn.orchestrator.store.tables.columns import UNSEALED


class IdempotencyRow(SQLModel, table=True):
    """The stored answer to one `Idempotency-Key` of one person.

    `acted_at` is written with what the request did, in the same transaction. `claim` is
    the id of the process that answers it: another one follows a process that died.
    """

    __tablename__ = "idempotency"  # pyright: ignore[reportAssignmentType] see above

    person: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    request: str
    status: int | None = None
    body: str | None = None
    claim: str = ""
    claimed_until: datetime | None = columns.time_column_or_none()
    created_at: datetime = columns.time_column(index=True)
    acted_at: datetime | None = columns.time_column_or_none()


class AuditRow(SQLModel, table=True):
    """One line of the audit log; the sealer chains it by `position` and `hash`.

    `to_notice` is not part of the chain: people are still to be told of the entry.
    """

    __tablename__ = "audit"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        Index(
            "audit_to_notice",
            "id",
            sqlite_where=text("to_notice = 1"),
            postgresql_where=text("to_notice"),
        ),
        columns.partial_index("audit_unsealed", "id", condition=UNSEALED),
        Index("audit_by_actor", "actor", "id"),
        Index("audit_by_kind", "kind", "id"),
        Index("audit_by_tenant", "tenant", "id"),
        Index("audit_by_run", "run", "id"),
        Index("audit_by_subject", "subject", "id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = columns.time_column(index=True)
    actor: str
    kind: str
    tenant: str | None = None
    run: str | None = None
    subject: str | None = None
    payload: str
    position: int | None = Field(default=None, unique=True)
    previous: str | None = None
    hash: str | None = None
    to_notice: bool = False


class ServedRow(SQLModel, table=True):
    """A model provider that a worker has a key or an address for, as last reported."""

    __tablename__ = "served"  # pyright: ignore[reportAssignmentType] see above

    provider: str = Field(primary_key=True)
    # Models with a price in the workers' own settings, as `provider/model`.
    priced: list[str] = columns.texts()
    seen_at: datetime = columns.time_column()


class LeaseRow(SQLModel, table=True):
    """The holder of a job that one process at a time does."""

    __tablename__ = "leases"  # pyright: ignore[reportAssignmentType] see above

    job: str = Field(primary_key=True)
    holder: str
    until: datetime = columns.time_column()
