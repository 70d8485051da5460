"""Tables of model attempts, counters and meters."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Index,
)
from sqlmodel import Field, SQLModel

from keyturn.orchestrator.store.tables import columns
from keyturn.orchestrator.store.tables.columns import OF_A_DAY, OF_A_RUN, SENT


class AttemptRow(SQLModel, table=True):
    """One request to a model, reserved before it is sent and settled after.

    `saw` are the customer's messages that it was first to send; `reply` is stored
    before it is judged; `failure` is the kind of failure, `error` its words.
    """

    __tablename__ = "attempts"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        Index("attempts_by_run", "run", "turn"),
        columns.partial_index("attempts_sent", "lease_until", condition=SENT),
    )

    id: str = Field(primary_key=True)
    run: str = Field(foreign_key="runs.id")
    turn: int
    number: int
    provider: str
    model: str
    status: str
    scopes: list[str] = columns.json_column(nullable=False)
    held_tokens: int = columns.big_integer()
    held_microusd: int = columns.big_integer()
    tokens: int = columns.big_integer(0)
    input_tokens: int = columns.big_integer(0)
    output_tokens: int = columns.big_integer(0)
    cost_microusd: int = columns.big_integer(0)
    error: str | None = columns.error_words()
    failure: str | None = None
    saw: list[int] = columns.texts()
    reply: dict[str, Any] | None = columns.json_column()
    lease_until: datetime = columns.time_column()
    created_at: datetime = columns.time_column()
    settled_at: datetime | None = columns.time_column_or_none()


class CounterRow(SQLModel, table=True):
    """How often something happened, by subject and kind; never counted again."""

    __tablename__ = "counters"  # pyright: ignore[reportAssignmentType] see above

    name: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    value: int = columns.big_integer(0)


class MeterRow(SQLModel, table=True):
    """What a budget scope holds and has used; the row is the scope's lock."""

    __tablename__ = "meters"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        columns.partial_index("meters_of_runs", "scope", condition=OF_A_RUN),
        columns.partial_index("meters_of_days", "scope", condition=OF_A_DAY),
    )

    scope: str = Field(primary_key=True)
    held_tokens: int = columns.big_integer(0)
    held_microusd: int = columns.big_integer(0)
    used_tokens: int = columns.big_integer(0)
    used_microusd: int = columns.big_integer(0)
    # The limit to which two people raised it; the contract's counts if it is higher.
    raised_tokens: int | None = columns.big_integer(None)
    raised_microusd: int | None = columns.big_integer(None)
    raised_turns: int | None = None
