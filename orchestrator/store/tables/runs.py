"""Tables of releases, runs and what belongs to a run."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Index,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel

from keyturn.orchestrator.rules.status import BulkVerb, CallStatus, Gate, RunStatus
from keyturn.orchestrator.store.tables import columns
from keyturn.orchestrator.store.tables.columns import (
    HELD,
    HELD_RUN,
    IN_HANDS,
    NOT_ENDED,
    OPEN_RUN,
    PAUSED_RUN,
    STILL_TAKES_BACK,
    TAKES_BACK,
)


class ReleaseRow(SQLModel, table=True):
    """One release by its hash; `live_since` orders those that went live.

    The signature covers `releases.Live`: a forged row has no effect.
    """

    __tablename__ = "releases"  # pyright: ignore[reportAssignmentType] see above

    hash: str = Field(primary_key=True)
    workflow: str = Field(index=True)
    content: dict[str, Any] = columns.json_column(nullable=False)
    code_version: str
    created_at: datetime = columns.time_column()
    live_since: datetime | None = columns.time_column_or_none()
    # The person who put it live, with the signature of the web server or a deployment.
    live_by: str | None = None
    signature: str | None = None


class RunRow(SQLModel, table=True):
    """One execution of a workflow for one input and tenant.

    `origin` and `external_key` are its source and external id in one spelling, within
    the account that the source belongs to.
    """

    __tablename__ = "runs"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        UniqueConstraint("origin", "external_key"),
        Index("runs_by_status", "status", "id"),
        Index("runs_by_workflow", "workflow", "id"),
        Index("runs_by_tenant", "tenant", "id"),
        Index("runs_by_customer", "customer", "id"),
        columns.partial_index(
            "runs_open", "id", "workflow", "tenant", "release", condition=OPEN_RUN
        ),
        columns.partial_index("runs_held", "stopped_by", condition=HELD_RUN),
        columns.partial_index("runs_paused", "id", condition=PAUSED_RUN),
        columns.partial_index(
            "runs_in_hands", "ended_at", "id", "tenant", condition=IN_HANDS
        ),
        columns.partial_index(
            "runs_that_take_back", "compensates", condition=TAKES_BACK
        ),
        columns.partial_index(
            "one_run_takes_back",
            "compensates",
            condition=STILL_TAKES_BACK,
            unique=True,
        ),
    )

    id: str = Field(primary_key=True)
    workflow: str
    tenant: str
    customer: str
    contact: str | None = None
    source: str | None = None
    external_id: str | None = None
    origin: str | None = None
    external_key: str | None = None
    status: RunStatus = columns.word("queued")
    stopped_by: str | None = None
    stopped_at: datetime | None = columns.time_column_or_none()
    paused_by: str | None = None
    pause_reason: str | None = None
    cancel_reason: str | None = None
    release: str = Field(foreign_key="releases.hash")
    code_version: str = ""
    input: str
    output: dict[str, Any] | None = columns.json_column()
    handed_off: dict[str, Any] | None = columns.scrubbed_column()
    failure: str | None = columns.error_words()
    started_by: str | None = None
    # The effect that the run takes back: at most one run per effect, except for those
    # that ended with nothing sent, and were released when somebody asked again.
    compensates: str | None = None
    let_go_at: datetime | None = columns.time_column_or_none()
    created_at: datetime = columns.time_column(index=True)
    ended_at: datetime | None = columns.time_column_or_none()
    # When a person settled the hand-off; none again if the run comes back.
    settled_at: datetime | None = columns.time_column_or_none()
    turns: int = 0
    tokens: int = columns.big_integer(0)
    cost_microusd: int = columns.big_integer(0)
    use_safer_model: bool = False
    # What is retried because code of ours or of an author failed, by place; see
    # `keyturn.orchestrator.store.runs.faults`.
    failing: dict[str, Any] | None = columns.scrubbed_column()


class StepRow(SQLModel, table=True):
    """One `ask` or `act` of a run: what it was told and must return.

    `held_by` is what prevents its next turn, or the run's end; `held_seen` is when that
    was last checked.
    """

    __tablename__ = "steps"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        Index("steps_held", "held_by", sqlite_where=HELD, postgresql_where=HELD),
    )

    run: str = Field(primary_key=True, foreign_key="runs.id")
    step: int = Field(primary_key=True)
    name: str
    kind: str
    instructions: str = ""
    output_schema: dict[str, Any] | None = columns.json_column()
    output: dict[str, Any] | None = columns.json_column()
    held_by: str | None = None
    held_seen: datetime | None = columns.time_column_or_none()
    # If a budget holds it: what its next turn may need and had no room for.
    needs: dict[str, Any] | None = columns.json_column()
    created_at: datetime = columns.time_column()


class TurnRow(SQLModel, table=True):
    """One committed turn: the result that a retry of `think` returns."""

    __tablename__ = "turns"  # pyright: ignore[reportAssignmentType] see above

    run: str = Field(primary_key=True, foreign_key="runs.id")
    turn: int = Field(primary_key=True)
    step: int
    result: str
    model: str | None = None
    provider: str | None = None
    tokens: int = columns.big_integer(0)
    cost_microusd: int = columns.big_integer(0)
    duration_ms: int = 0
    created_at: datetime = columns.time_column()


class MessageRow(SQLModel, table=True):
    """One message of a transcript; tool answers are stored with their calls."""

    __tablename__ = "messages"  # pyright: ignore[reportAssignmentType] see above

    run: str = Field(primary_key=True, foreign_key="runs.id")
    turn: int = Field(primary_key=True)
    index: int = Field(primary_key=True)
    role: str
    text: str
    created_at: datetime = columns.time_column()


class CustomerMessageRow(SQLModel, table=True):
    """A later message of the customer; `by` brought it, and the turn `turn` read it."""

    __tablename__ = "customer_messages"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (UniqueConstraint("run", "external_id"),)

    id: int | None = Field(default=None, primary_key=True)
    run: str = Field(foreign_key="runs.id", index=True)
    text: str
    by: str | None = None
    external_id: str | None = None
    turn: int | None = None
    created_at: datetime = columns.time_column()


class CallRow(SQLModel, table=True):
    """One call of a turn, named `run:turn.index`.

    `arguments` is canonical JSON; `effective` is what was done instead, if a person
    edited. `provider_id` is the provider's own id, kept for tracing only. `held_by` is
    what holds this call, since `held_at`; `held_seen` is when that was last checked.
    """

    __tablename__ = "calls"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        Index("calls_by_arguments", "run", "arguments_hash"),
        Index("calls_held", "held_by", sqlite_where=HELD, postgresql_where=HELD),
    )

    run: str = Field(primary_key=True, foreign_key="runs.id")
    turn: int = Field(primary_key=True)
    index: int = Field(primary_key=True)
    tool: str
    authority: str
    provider_id: str = ""
    arguments: str
    arguments_hash: str
    effective: str | None = None
    revision: int = 0
    gate: Gate = columns.word()
    verdict: dict[str, Any] | None = columns.json_column()
    subject: str | None = None
    status: CallStatus = columns.word("open")
    result: str | None = None
    held_by: str | None = None
    held_at: datetime | None = columns.time_column_or_none()
    held_seen: datetime | None = columns.time_column_or_none()
    created_at: datetime = columns.time_column()
    ended_at: datetime | None = columns.time_column_or_none()


class NoteRow(SQLModel, table=True):
    """A person's note on a hand-off or run."""

    __tablename__ = "notes"  # pyright: ignore[reportAssignmentType] see above

    id: int | None = Field(default=None, primary_key=True)
    run: str = Field(foreign_key="runs.id", index=True)
    person: str
    person_name: str
    kind: str
    text: str
    created_at: datetime = columns.time_column()


class BulkRow(SQLModel, table=True):
    """A bulk pause, resume or cancel of all matching runs, applied a batch at a time.

    A pause holds from its commit on: until it has ended, a transaction that looks at a
    run after `after` finds it paused. `but` are runs that somebody resumed meanwhile.
    """

    __tablename__ = "bulks"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (columns.partial_index("bulks_open", "id", condition=NOT_ENDED),)

    id: str = Field(primary_key=True)
    verb: BulkVerb = columns.word()
    workflow: str | None = None
    status: str | None = None
    tenant: str | None = None
    customer: str | None = None
    reason: str
    by: str
    by_tenant: str | None = None
    total: int
    done: int = 0
    after: str = ""
    but: list[str] = columns.texts()
    created_at: datetime = columns.time_column()
    ended_at: datetime | None = columns.time_column_or_none()
    stopped_by: str | None = None
