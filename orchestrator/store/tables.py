"""The schema. Texts that are hashed, signed or sent are kept exactly, as text."""

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    UniqueConstraint,
    false,
    text,
)
from sqlmodel import Field, SQLModel

from orchestrator.store.types import Json, Scrubbed, ScrubbedJson, Utc

# SQLModel types `__tablename__` as a declared attribute; a plain name is its usual form.


def _json(*, nullable: bool = True) -> Any:  # noqa: ANN401 a column of any JSON
    return Field(default=None, sa_column=Column(Json, nullable=nullable))


def _list() -> Any:  # noqa: ANN401 SQLModel fields are untyped
    """Return a list of texts, empty by default."""
    column = Column(Json, nullable=False, server_default="[]")
    return Field(default_factory=list, sa_column=column)


def _time(*, index: bool = False) -> Any:  # noqa: ANN401 SQLModel fields are untyped
    return Field(sa_column=Column(Utc, nullable=False, index=index))


def _time_or_none(*, index: bool = False) -> Any:  # noqa: ANN401 as above
    return Field(default=None, sa_column=Column(Utc, nullable=True, index=index))


def _error() -> Any:  # noqa: ANN401 SQLModel fields are untyped
    """Return words of an error, which go through the scrubber."""
    return Field(default=None, sa_column=Column(Scrubbed, nullable=True))


def _scrubbed(*, nullable: bool = True) -> Any:  # noqa: ANN401 as above
    return Field(default=None, sa_column=Column(ScrubbedJson, nullable=nullable))


def _big(default: Any = ...) -> Any:  # noqa: ANN401 SQLModel fields are untyped
    """Return 64 bits: 32 would end at 2,147 dollars in micro-dollars."""
    return Field(default=default, sa_type=BigInteger)


_HELD = text("held_by IS NOT NULL")


def new_stamp() -> int:
    """Return a number that each change draws anew: their sum tells of any change."""
    return secrets.randbits(STAMP_BITS)


def _stamp() -> Any:  # noqa: ANN401 SQLModel fields are untyped
    column = Column(Integer, nullable=False, default=new_stamp, onupdate=new_stamp)
    return Field(default_factory=new_stamp, sa_column=column)


def _where(name: str, *columns: str, condition: str, unique: bool = False) -> Index:
    """Return an index of the rows that fit: it is as large as what they are few of."""
    # A parameter proves nothing to a planner; queries write the condition as it is here.
    where = text(condition)
    return Index(
        name, *columns, unique=unique, sqlite_where=where, postgresql_where=where
    )


STAMP_BITS = 31
# What is open: the conditions of partial indexes, word for word in what asks for it.
OPEN_RUN = "status IN ('queued', 'running', 'waiting', 'stopped')"
IN_HANDS = "status = 'handed_off' AND settled_at IS NULL"
HELD_RUN = "stopped_by IS NOT NULL"
PAUSED_RUN = f"paused_by IS NOT NULL AND {OPEN_RUN}"
WAITING = "status = 'pending'"
TO_WARN = f"{WAITING} AND warned_at IS NULL"
TO_ASSIGN = f"{WAITING} AND assigns AND assigned_to IS NULL"
TO_FIND_OUT = "(status = 'unknown' OR reopened_at IS NOT NULL)"
TAKES_BACK = "compensates IS NOT NULL"
STILL_TAKES_BACK = f"{TAKES_BACK} AND let_go_at IS NULL"
UNDER_WAY = "status IN ('leased', 'sending')"
# Limits on money lock rows of the meters' table, too; they hold and use nothing.
OF_A_RUN = "substr(scope, 1, 4) = 'run '"
OF_A_DAY = "substr(scope, 1, 4) <> 'run ' AND substr(scope, 1, 6) <> 'limit '"
SENT = "status = 'sent'"
UNSEALED = "position IS NULL"
DEAD = "dead_at IS NOT NULL"
NOT_ENDED = "ended_at IS NULL"


class ReleaseRow(SQLModel, table=True):
    """One release by its hash; `live_since` orders those that went live.

    What is signed is `releases.Live`: a row that somebody inserted shapes nothing.
    """

    __tablename__ = "releases"  # pyright: ignore[reportAssignmentType] see above

    hash: str = Field(primary_key=True)
    workflow: str = Field(index=True)
    content: dict[str, Any] = _json(nullable=False)
    code_version: str
    created_at: datetime = _time()
    live_since: datetime | None = _time_or_none()
    # Who put it live, and the web server's or a deployment's signature under that.
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
        _where("runs_open", "id", "workflow", "tenant", "release", condition=OPEN_RUN),
        _where("runs_held", "stopped_by", condition=HELD_RUN),
        _where("runs_paused", "id", condition=PAUSED_RUN),
        _where("runs_in_hands", "ended_at", "id", "tenant", condition=IN_HANDS),
        _where("runs_that_take_back", "compensates", condition=TAKES_BACK),
        _where(
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
    status: str
    stopped_by: str | None = None
    stopped_at: datetime | None = _time_or_none()
    paused_by: str | None = None
    pause_reason: str | None = None
    cancel_reason: str | None = None
    release: str = Field(foreign_key="releases.hash")
    code_version: str = ""
    input: str
    output: dict[str, Any] | None = _json()
    handed_off: dict[str, Any] | None = _scrubbed()
    failure: str | None = _error()
    started_by: str | None = None
    # The effect that the run takes back: at most one run an effect, but those that ended
    # with nothing sent, and were let go of when somebody asked again.
    compensates: str | None = None
    let_go_at: datetime | None = _time_or_none()
    created_at: datetime = _time(index=True)
    ended_at: datetime | None = _time_or_none()
    # When a person settled what was handed off; none again where it comes back.
    settled_at: datetime | None = _time_or_none()
    turns: int = 0
    tokens: int = _big(0)
    cost_microusd: int = _big(0)
    use_safer_model: bool = False
    # What is tried again because code of ours or of an author failed, by place; see
    # `orchestrator.store.failing`.
    failing: dict[str, Any] | None = _scrubbed()


class StepRow(SQLModel, table=True):
    """One `ask` or `act` of a run: what it was told and must return.

    `held_by` is what keeps its next turn, or the run's end, from coming; `held_seen`
    when that was looked at last.
    """

    __tablename__ = "steps"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        Index("steps_held", "held_by", sqlite_where=_HELD, postgresql_where=_HELD),
    )

    run: str = Field(primary_key=True, foreign_key="runs.id")
    step: int = Field(primary_key=True)
    name: str
    kind: str
    instructions: str = ""
    output_schema: dict[str, Any] | None = _json()
    output: dict[str, Any] | None = _json()
    held_by: str | None = None
    held_seen: datetime | None = _time_or_none()
    # Where a budget holds it: what its next turn may need, which had no room.
    needs: dict[str, Any] | None = _json()
    created_at: datetime = _time()


class TurnRow(SQLModel, table=True):
    """One committed turn: the result that a retry of `think` returns."""

    __tablename__ = "turns"  # pyright: ignore[reportAssignmentType] see above

    run: str = Field(primary_key=True, foreign_key="runs.id")
    turn: int = Field(primary_key=True)
    step: int
    result: str
    model: str | None = None
    provider: str | None = None
    tokens: int = _big(0)
    cost_microusd: int = _big(0)
    duration_ms: int = 0
    created_at: datetime = _time()


class MessageRow(SQLModel, table=True):
    """One message of a transcript; tool answers stand with their calls."""

    __tablename__ = "messages"  # pyright: ignore[reportAssignmentType] see above

    run: str = Field(primary_key=True, foreign_key="runs.id")
    turn: int = Field(primary_key=True)
    index: int = Field(primary_key=True)
    role: str
    text: str
    created_at: datetime = _time()


class CustomerMessageRow(SQLModel, table=True):
    """The customer wrote again; `by` brought it, and `turn` is the turn that read it."""

    __tablename__ = "customer_messages"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (UniqueConstraint("run", "external_id"),)

    id: int | None = Field(default=None, primary_key=True)
    run: str = Field(foreign_key="runs.id", index=True)
    text: str
    by: str | None = None
    external_id: str | None = None
    turn: int | None = None
    created_at: datetime = _time()


class CallRow(SQLModel, table=True):
    """One call of a turn, named `run:turn.index`.

    `arguments` is canonical JSON; `effective` what was done instead, where a person
    edited. `provider_id` is the provider's own id, kept for tracing only. `held_by` is
    what holds this call, since `held_at`; `held_seen` when it was looked at last.
    """

    __tablename__ = "calls"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        Index("calls_by_arguments", "run", "arguments_hash"),
        Index("calls_held", "held_by", sqlite_where=_HELD, postgresql_where=_HELD),
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
    gate: str
    verdict: dict[str, Any] | None = _json()
    subject: str | None = None
    status: str = "open"
    result: str | None = None
    held_by: str | None = None
    held_at: datetime | None = _time_or_none()
    held_seen: datetime | None = _time_or_none()
    created_at: datetime = _time()
    ended_at: datetime | None = _time_or_none()


class AttemptRow(SQLModel, table=True):
    """One request to a model, reserved before it is sent and settled after.

    `saw` are the customer's messages that it was first to send; `reply` is stored
    before it is judged; `failure` is the kind of what went wrong, `error` its words.
    """

    __tablename__ = "attempts"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        Index("attempts_by_run", "run", "turn"),
        _where("attempts_sent", "lease_until", condition=SENT),
    )

    id: str = Field(primary_key=True)
    run: str = Field(foreign_key="runs.id")
    turn: int
    number: int
    provider: str
    model: str
    status: str
    scopes: list[str] = _json(nullable=False)
    held_tokens: int = _big()
    held_microusd: int = _big()
    tokens: int = _big(0)
    input_tokens: int = _big(0)
    output_tokens: int = _big(0)
    cost_microusd: int = _big(0)
    error: str | None = _error()
    failure: str | None = None
    saw: list[int] = _list()
    reply: dict[str, Any] | None = _json()
    lease_until: datetime = _time()
    created_at: datetime = _time()
    settled_at: datetime | None = _time_or_none()


class CounterRow(SQLModel, table=True):
    """How often something happened, by what and of which kind; never counted again."""

    __tablename__ = "counters"  # pyright: ignore[reportAssignmentType] see above

    name: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    value: int = _big(0)


class MeterRow(SQLModel, table=True):
    """What a budget scope holds and has used; the row is the scope's lock."""

    __tablename__ = "meters"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        _where("meters_of_runs", "scope", condition=OF_A_RUN),
        _where("meters_of_days", "scope", condition=OF_A_DAY),
    )

    scope: str = Field(primary_key=True)
    held_tokens: int = _big(0)
    held_microusd: int = _big(0)
    used_tokens: int = _big(0)
    used_microusd: int = _big(0)
    # What two people raised it to; what the contract says counts where that is more.
    raised_tokens: int | None = _big(None)
    raised_microusd: int | None = _big(None)
    raised_turns: int | None = None


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
        # Counts, filters and fingerprints of the queue read this index alone.
        _where(
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
        _where("approvals_to_warn", "warn_at", condition=TO_WARN),
        _where("approvals_to_assign", "id", condition=TO_ASSIGN),
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
    status: str = "pending"
    arguments: str
    effective: str | None = None
    preview: str | None = None
    amount: int | None = _big(None)
    currency: str | None = None
    verdict: dict[str, Any] = _json(nullable=False)
    rule: str
    needed: int
    role: str
    release: str
    policy: str
    binding: str | None = None
    effective_binding: str | None = None
    reason: str = ""
    not_by: list[str] = _json(nullable=False)
    # Of those, why: `steered` where nothing is said.
    barred: dict[str, str] | None = _json(nullable=True)
    edited_by: str | None = None
    team: str | None = None
    language: str | None = None
    claimed_by: str | None = Field(default=None, index=True)
    claimed_name: str | None = None
    claim_until: datetime | None = _time_or_none()
    assigned_to: str | None = Field(default=None, index=True)
    # The system picks who decides it; `assigned_to` is whom it picked.
    assigns: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    redraft_of: str | None = None
    round: int = 0
    level: int = 0
    warn_at: datetime | None = _time_or_none()
    warned_at: datetime | None = _time_or_none()
    extended: int = 0
    answer_by: datetime = _time(index=True)
    usable_until: datetime | None = _time_or_none()
    undo_until: datetime | None = _time_or_none()
    consumed_by: str | None = None
    # Since when its call is held, so that its clock stands still.
    held_at: datetime | None = _time_or_none()
    closed_because: str | None = None
    stamp: int = _stamp()
    created_at: datetime = _time()
    closed_at: datetime | None = _time_or_none()


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
    decision: str
    arguments: str | None = None
    reason: str | None = None
    binding: str
    effective: str
    # What it rested on, as canonical JSON: `binding.Grounds`. Decisions of before have none.
    grounds: str | None = None
    signature: str
    at: datetime = _time()


class DraftRow(SQLModel, table=True):
    """A person's unfinished edit of an approval; outlives a conflict."""

    __tablename__ = "drafts"  # pyright: ignore[reportAssignmentType] see above

    approval: str = Field(primary_key=True, foreign_key="approvals.id")
    person: str = Field(primary_key=True)
    form: dict[str, Any] = _json(nullable=False)
    saved_at: datetime = _time()
    used_at: datetime | None = _time_or_none()


_BUSY = text("status IN ('leased', 'sending', 'unknown')")
_MAY_HAVE_SENT = text("status IN ('leased', 'sending', 'unknown', 'done')")


class OpeningRow(SQLModel, table=True):
    """That a person's page of an approval was open, and which binding it showed."""

    __tablename__ = "openings"  # pyright: ignore[reportAssignmentType] see above

    approval: str = Field(primary_key=True, foreign_key="approvals.id")
    session: str = Field(primary_key=True)
    binding: str = Field(primary_key=True)
    person: str
    at: datetime = _time()


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
        _where("effects_to_find_out", "key", "tenant", condition=TO_FIND_OUT),
        _where("effects_under_way", "key", condition=UNDER_WAY),
        _where("effects_that_take_back", "compensates", condition=TAKES_BACK),
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
    corpora: list[str] = _json(nullable=False)
    subject: str | None = None
    service: str = ""
    within_tenant: str = ""
    customer_key: str
    subject_key: str | None = None
    status: str
    attempt: int = 1
    arguments: str
    preview: str
    binding: str
    approval: str | None = None
    approvers: list[str] = _json(nullable=False)
    amount: int | None = _big(None)
    currency: str | None = None
    compensates: str | None = None
    holder: str
    lease_until: datetime = _time()
    idempotent_until: datetime | None = _time_or_none()
    receipt: dict[str, Any] | None = _json()
    error: str | None = _error()
    evidence: str | None = None
    recorded_by: str | None = None
    later: dict[str, Any] | None = _json()
    reopened_at: datetime | None = _time_or_none(index=True)
    created_at: datetime = _time()
    sending_at: datetime | None = _time_or_none()
    # The first of the tries in which nothing could be sent.
    put_off_since: datetime | None = _time_or_none()
    ended_at: datetime | None = _time_or_none()


class SwitchRow(SQLModel, table=True):
    """A runtime control; cleared ones stay as history."""

    __tablename__ = "switches"  # pyright: ignore[reportAssignmentType] see above

    id: str = Field(primary_key=True)
    scope: dict[str, Any] = _json(nullable=False)
    mode: str
    value: str | None = None
    reason: str
    author: str
    created_at: datetime = _time()
    until: datetime | None = _time_or_none()
    cleared_at: datetime | None = _time_or_none(index=True)
    cleared_by: str | None = None
    clear_reason: str | None = None


class OutboxRow(SQLModel, table=True):
    """What must reach Temporal; ends when the store shows the outcome."""

    __tablename__ = "outbox"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (Index("outbox_due", "done_at", "due_at"),)

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    run: str = Field(foreign_key="runs.id", index=True)
    approval: str | None = None
    created_at: datetime = _time()
    due_at: datetime = _time()
    claimed_until: datetime | None = _time_or_none()
    tries: int = 0
    last_error: str | None = _error()
    done_at: datetime | None = _time_or_none()


class NoteRow(SQLModel, table=True):
    """A person's note on a hand-off or run."""

    __tablename__ = "notes"  # pyright: ignore[reportAssignmentType] see above

    id: int | None = Field(default=None, primary_key=True)
    run: str = Field(foreign_key="runs.id", index=True)
    person: str
    person_name: str
    kind: str
    text: str
    created_at: datetime = _time()


class PersonRow(SQLModel, table=True):
    """An account: a person, or a service that decides nothing."""

    __tablename__ = "people"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (UniqueConstraint("oidc_issuer", "oidc_subject"),)

    id: str = Field(primary_key=True)
    name: str
    email: str = Field(unique=True)
    kind: str = "person"
    role: str
    tenant: str | None = None
    teams: list[str] = _list()
    languages: list[str] = _list()
    password_hash: str | None = None
    oidc_issuer: str | None = None
    oidc_subject: str | None = None
    approves_from: datetime | None = _time_or_none()
    mail_about: list[str] | None = Field(
        default=None, sa_column=Column(Json, nullable=True)
    )
    created_at: datetime = _time()
    disabled_at: datetime | None = _time_or_none()
    # What a process with the key vouches for, see `orchestrator.store.vouching`.
    mac: str | None = None


class SessionRow(SQLModel, table=True):
    """A signed-in browser, by the hash of its cookie.

    The cookie is replaced now and then: `old_hash` is the one before, good until
    `old_until`, and without an end until the new one was seen once.
    """

    __tablename__ = "sessions"  # pyright: ignore[reportAssignmentType] see above

    id: str = Field(primary_key=True)
    person: str = Field(foreign_key="people.id", index=True)
    hash: str = Field(unique=True)
    old_hash: str | None = Field(default=None, index=True)
    old_until: datetime | None = _time_or_none()
    rotated_at: datetime = _time()
    csrf: str
    method: str = "password"
    address: str = ""
    browser: str = ""
    created_at: datetime = _time()
    seen_at: datetime = _time()
    ends_at: datetime = _time()
    mac: str | None = None


class TokenRow(SQLModel, table=True):
    """An API token, by its hash; acts as its owner, within its `scopes`.

    `parent` is the token that it was made with, and ends with it. `tenants` are those
    that a service's token starts runs for; a person's acts within its owner's.
    """

    __tablename__ = "tokens"  # pyright: ignore[reportAssignmentType] see above

    id: str = Field(primary_key=True)
    person: str = Field(foreign_key="people.id", index=True)
    name: str
    hash: str = Field(unique=True)
    scopes: list[str] = _list()
    tenants: list[str] = _list()
    parent: str | None = Field(default=None, index=True)
    created_at: datetime = _time()
    used_at: datetime | None = _time_or_none()
    ends_at: datetime | None = _time_or_none()
    revoked_at: datetime | None = _time_or_none()
    mac: str | None = None


class IdempotencyRow(SQLModel, table=True):
    """The stored answer to one `Idempotency-Key` of one person.

    `acted_at` is written with what the request did, in the same transaction. `claim`
    is the id of who answers it: a process that died is followed by another.
    """

    __tablename__ = "idempotency"  # pyright: ignore[reportAssignmentType] see above

    person: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    request: str
    status: int | None = None
    body: str | None = None
    claim: str = ""
    claimed_until: datetime | None = _time_or_none()
    created_at: datetime = _time(index=True)
    acted_at: datetime | None = _time_or_none()


class AuditRow(SQLModel, table=True):
    """One line of the audit log; the sealer chains it by `position` and `hash`.

    `to_notice` is no part of what is chained: someone is still to be told of it.
    """

    __tablename__ = "audit"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        Index(
            "audit_to_notice",
            "id",
            sqlite_where=text("to_notice = 1"),
            postgresql_where=text("to_notice"),
        ),
        _where("audit_unsealed", "id", condition=UNSEALED),
        Index("audit_by_actor", "actor", "id"),
        Index("audit_by_kind", "kind", "id"),
        Index("audit_by_tenant", "tenant", "id"),
        Index("audit_by_run", "run", "id"),
        Index("audit_by_subject", "subject", "id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = _time(index=True)
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
    """A model provider that a worker has a key or an address for, as it said last."""

    __tablename__ = "served"  # pyright: ignore[reportAssignmentType] see above

    provider: str = Field(primary_key=True)
    # Models that the workers' own settings price, as `provider/model`.
    priced: list[str] = _list()
    seen_at: datetime = _time()


class LeaseRow(SQLModel, table=True):
    """Who does a job that one process at a time does."""

    __tablename__ = "leases"  # pyright: ignore[reportAssignmentType] see above

    job: str = Field(primary_key=True)
    holder: str
    until: datetime = _time()


class SignInAttemptRow(SQLModel, table=True):
    """One failed sign-in, by account or by address; old ones are deleted."""

    __tablename__ = "sign_in_attempts"  # pyright: ignore[reportAssignmentType] see above

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(index=True)
    at: datetime = _time(index=True)


class TenantRow(SQLModel, table=True):
    """A tenant that runs may be started for, by its name in one spelling.

    `is_rehearsal`: of an evaluation, whose services are doubles made for it alone.
    """

    __tablename__ = "tenants"  # pyright: ignore[reportAssignmentType] see above

    key: str = Field(primary_key=True)
    name: str = Field(unique=True)
    is_rehearsal: bool = False
    declared_by: str
    created_at: datetime = _time()


class SourceRow(SQLModel, table=True):
    """A source of runs, by its name in one spelling, and whose account it is."""

    __tablename__ = "sources"  # pyright: ignore[reportAssignmentType] see above

    key: str = Field(primary_key=True)
    name: str
    owner: str
    created_at: datetime = _time()


class ProposalRow(SQLModel, table=True):
    """A loosening that one person proposed and another one confirms (P11)."""

    __tablename__ = "proposals"  # pyright: ignore[reportAssignmentType] see above

    id: str = Field(primary_key=True)
    kind: str
    target: dict[str, Any] = _json(nullable=False)
    tenant: str | None = None
    reason: str
    # The hash of a proposed password, until it is answered; never shown or logged.
    secret: str | None = None
    status: str = Field(default="open", index=True)
    proposed_by: str
    proposed_name: str
    created_at: datetime = _time()
    ends_at: datetime = _time()
    decided_by: str | None = None
    decided_name: str | None = None
    decided_at: datetime | None = _time_or_none()
    outcome: str | None = None
    mac: str | None = None


class IncidentRow(SQLModel, table=True):
    """Something that a person has to look into, until it is closed."""

    __tablename__ = "incidents"  # pyright: ignore[reportAssignmentType] see above

    id: str = Field(primary_key=True)
    severity: str
    title: str
    source: str = Field(unique=True)
    detail: dict[str, Any] = _scrubbed(nullable=False)
    tenant: str | None = None
    status: str = Field(default="open", index=True)
    opened_by: str
    # The accounts that it is about: none of them closes it where it is critical.
    named: list[str] = _list()
    created_at: datetime = _time()
    closed_at: datetime | None = _time_or_none()
    closed_by: str | None = None
    close_reason: str | None = None


class MatchingRow(SQLModel, table=True):
    """One matching of the ledger with the statement and the mail log."""

    __tablename__ = "matchings"  # pyright: ignore[reportAssignmentType] see above

    id: str = Field(primary_key=True)
    status: str = Field(index=True)
    asked_by: str
    asked_at: datetime = _time(index=True)
    since: datetime | None = _time_or_none()
    until: datetime | None = _time_or_none()
    statement: dict[str, Any] | None = _json()
    mail: dict[str, Any] | None = _json()
    ended_at: datetime | None = _time_or_none()


class WebhookRow(SQLModel, table=True):
    """Where notices are posted; the secret that signs them is worked out from `seed`.

    A copy of this table signs nothing: the key that the secret also needs is not in it.
    """

    __tablename__ = "webhooks"  # pyright: ignore[reportAssignmentType] see above

    id: str = Field(primary_key=True)
    url: str
    seed: str
    old_seed: str | None = None
    old_until: datetime | None = _time_or_none()
    tenant: str | None = None
    events: list[str] = _list()
    with_arguments: bool = False
    created_by: str
    created_at: datetime = _time()
    disabled_at: datetime | None = _time_or_none()
    disabled_because: str | None = None


class NoticeRow(SQLModel, table=True):
    """One notice to one recipient, sent until it is accepted or given up."""

    __tablename__ = "notices"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (
        UniqueConstraint("event", "channel", "target"),
        Index("notices_due", "done_at", "dead_at", "due_at"),
        Index("notices_by_target", "channel", "target", "done_at"),
        _where("notices_dead", "id", condition=DEAD),
    )

    id: int | None = Field(default=None, primary_key=True)
    event: str
    kind: str
    channel: str
    target: str
    tenant: str | None = None
    run: str | None = None
    approval: str | None = Field(default=None, index=True)
    payload: dict[str, Any] = _json(nullable=False)
    created_at: datetime = _time()
    due_at: datetime = _time()
    claimed_until: datetime | None = _time_or_none()
    tries: int = 0
    last_error: str | None = _error()
    done_at: datetime | None = _time_or_none()
    dead_at: datetime | None = _time_or_none()


class BulkRow(SQLModel, table=True):
    """All runs that match, to pause, resume or cancel: worked off a batch at a time.

    A pause holds from its commit on: until it has ended, whoever looks at a run behind
    `after` finds it paused. `but` are runs that somebody let go on meanwhile.
    """

    __tablename__ = "bulks"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (_where("bulks_open", "id", condition=NOT_ENDED),)

    id: str = Field(primary_key=True)
    verb: str
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
    but: list[str] = _list()
    created_at: datetime = _time()
    ended_at: datetime | None = _time_or_none()
    stopped_by: str | None = None
