"""A record of any size in PostgreSQL: the same open work, with more or less history.

Rows are made in the server (`INSERT … SELECT generate_series`), so that a million runs
with what belongs to them take minutes. Of a table's other columns each row has the
prototype's value, so that a new column needs nothing here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Insert,
    Table,
    insert,
    literal,
    literal_column,
    null,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlmodel import SQLModel

from benchmarks.report import progress
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.rules.contract import release as releasing
from keyturn.orchestrator.rules.status import ApprovalStatus, EffectStatus, RunStatus
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    AttemptRow,
    AuditRow,
    CallRow,
    DecisionRow,
    EffectRow,
    IncidentRow,
    MeterRow,
    NoteRow,
    RunRow,
    StepRow,
)

WORKFLOW, TENANT, TOOL = "loop-whole", "default", "pay"
# Few rows are theirs, however many there are of others.
RARE_TENANT, RARE_ACTOR, RARE_KIND = "small", "svc-rare", "effect.unknown"
# So many rows are rare, however many there are: a list of them is as long in both.
RARE_RUNS, RARE_ROWS = 200, 60
HELD_BY = "switch sw-held"
START = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Size:
    """How much there is: of all runs `waiting` ask a person, and some are open else."""

    runs: int
    waiting: int = 10_000
    held: int = 50
    handoffs: int = 100
    unknown: int = 30
    incidents: int = 20

    @property
    def ended(self) -> int:
        """Return how many runs are history."""
        return max(0, self.runs - self.waiting)


async def seed(url: str, size: Size) -> None:
    """Fill an empty, migrated database."""
    release = await _release(url)
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            await connection.execute(
                text("SET session_replication_role = replica")  # no look-up a key
            )
            # Its ids are the history's.
            await connection.execute(text("DELETE FROM audit"))
            for name, statement in _statements(size, release):
                await connection.execute(statement)
                await connection.commit()
                progress(f"{size.runs:,} runs: {name}")
            await _settle(connection)
    finally:
        await engine.dispose()


def some_runs() -> list[str]:
    """Return the ids of a few runs, of those that are history."""
    return [f"run-{number * 10:018d}" for number in range(1, 6)]


def some_items(size: Size) -> list[str]:
    """Return the ids of a few approvals that wait."""
    step = max(1, size.runs // max(1, size.waiting))
    return [f"apr-{number * step * 10 + 5:018d}" for number in range(1, 6)]


async def _settle(connection: AsyncConnection) -> None:
    """Leave statistics and a visibility map, as a server that has run for a while."""
    plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
    await plain.execute(text("VACUUM ANALYZE"))


async def _release(url: str) -> str:
    found = registry.load(("benchmarks.apps.loop",))
    made = releasing.of(found.contracts[WORKFLOW], found.tools, found.aliases)
    store = Store(url)
    try:
        name = await releases.publish(
            store, made, code_version="bench", signer=Signer(new_key())
        )
        async with store.write() as session:
            # The log that is written below is numbered from one.
            await session.execute(text("DELETE FROM audit"))
        return name
    finally:
        await store.close()


def _statements(size: Size, release: str) -> Iterator[tuple[str, Insert]]:
    yield from _history(size, release)
    yield from _open(size, release)


def _history(size: Size, release: str) -> Iterator[tuple[str, Insert]]:
    """Runs that ended, most of them well; one in twenty was handed off and settled."""
    rare = max(1, size.ended // RARE_RUNS)
    rarer = max(1, size.runs * 3 // RARE_ROWS)
    count, ended = size.ended, "TIMESTAMPTZ '2025-01-01' + g * INTERVAL '20 seconds'"
    run = _old("run")
    yield (
        "ended runs",
        _copies(
            _run(release, status="completed"),
            count,
            id=run,
            status="CASE WHEN g % 20 = 0 THEN 'handed_off' WHEN g % 25 = 1 THEN "
            "'failed' ELSE 'completed' END",
            customer=f"'c-' || g % {max(1, count // 20)}",
            tenant=f"CASE WHEN g % {rare} = 0 THEN '{RARE_TENANT}' ELSE '{TENANT}' END",
            created_at=ended,
            ended_at=ended,
            settled_at=f"CASE WHEN g % 20 = 0 THEN {ended} END",
        ),
    )
    note = NoteRow(
        run="", person="lea", person_name="Lea", kind="done_outside", text="Done.",
        created_at=START,
    )  # fmt: skip
    yield "notes", _copies(note, count // 20, run=_old("run", "g * 20"))
    approval = _approval(release, status="approved", run="")
    third = count // 3
    yield (
        "decided approvals",
        _copies(
            approval, third, id=_old("apr", "g * 3"), run=_old("run", "g * 3"),
            closed_at="now()", consumed_by=f"{_old('run', 'g * 3')} || ':1.0.0'",
        ),
    )  # fmt: skip
    yield "decisions", _copies(_decision(), third, approval=_old("apr", "g * 3"))
    yield (
        "done effects",
        _copies(
            _effect(status="done", run=""),
            third,
            key=f"{_old('run', 'g * 3')} || ':1.0.0'",
            run=_old("run", "g * 3"),
            subject="'order_id=o' || g",
            subject_key="'order_id=o' || g",
            customer=f"'c-' || g % {max(1, count // 20)}",
            approval=_old("apr", "g * 3"),
            ended_at=ended,
        ),
    )
    yield "attempts", _copies(_attempt(), count, id="'old-' || g", run=run)
    yield "meters", _copies(MeterRow(scope=""), count, scope=f"'run ' || {run}")
    yield (
        "limits",
        _copies(MeterRow(scope=""), third, scope="'limit subject default o' || g"),
    )
    yield (
        "audit",
        _copies(
            _audit(),
            size.runs * 3,
            id="g",
            position="g",
            at="TIMESTAMPTZ '2025-01-01' + g * INTERVAL '7 seconds'",
            run=_old("run", "1 + g / 3"),
            actor=f"CASE WHEN g % {rarer} = 1 THEN '{RARE_ACTOR}' WHEN g % 3 = 0 THEN "
            f"'svc-shop' ELSE 'run:' || {_old('run', '1 + g / 3')} END",
            kind=f"CASE WHEN g % {rarer} = 2 THEN '{RARE_KIND}' WHEN g % 3 = 0 THEN "
            "'run.started' WHEN g % 3 = 1 THEN 'turn.committed' ELSE "
            "'run.completed' END",
            tenant=f"CASE WHEN g % {rare} = 0 THEN '{RARE_TENANT}' ELSE '{TENANT}' END",
            hash="md5(g::text)",
        ),
    )
    yield "its sequence", cast("Insert", text("SELECT setval('audit_id_seq', "
        f"{size.runs * 3})"))  # fmt: skip


def _open(size: Size, release: str) -> Iterator[tuple[str, Insert]]:
    """What is open: the same whatever the history, and spread among it."""
    step = max(1, size.runs // max(1, size.waiting))
    run, soon = _new("run", step), "now() + g * INTERVAL '3 seconds'"
    held = f"CASE WHEN g <= {size.held} THEN"
    yield (
        "waiting runs",
        _copies(
            _run(release, status="waiting"),
            size.waiting,
            id=run,
            customer="'w-' || g",
            status=f"{held} 'stopped' ELSE 'waiting' END",
            stopped_by=f"{held} '{HELD_BY}' END",
            stopped_at=f"{held} now() END",
        ),
    )
    yield "steps", _copies(_step(), size.waiting, run=run)
    yield "calls", _copies(_call(), size.waiting, run=run)
    yield (
        "waiting approvals",
        _copies(
            _approval(release, status="pending", run=""),
            size.waiting,
            id=_new("apr", step),
            run=run,
            customer="'w-' || g",
            answer_by=soon,
            role="CASE WHEN g % 2 = 0 THEN 'lead' ELSE 'agent' END",
            stamp="(random() * 1e9)::int",
        ),
    )
    yield (
        "hand-offs",
        _copies(
            _run(release, status="handed_off"),
            size.handoffs,
            id="'run-h' || lpad(g::text, 17, '0')",
            customer="'h-' || g",
            ended_at="now() - g * INTERVAL '1 minute'",
        ),
    )
    begun: tuple[EffectStatus, ...] = ("unknown", "sending")
    for turn, status in enumerate(begun, start=1):
        yield (
            f"{status} effects",
            _copies(
                _effect(status=status, run=""),
                size.unknown,
                key=f"{run} || ':{turn}.0.0'",
                run=run,
                turn=str(turn),
                subject=f"'{status}-' || g",
                subject_key=f"'{status}-' || g",
            ),
        )
    incident = IncidentRow(
        id="", severity="high", title="Look", source="", detail={}, opened_by="system",
        created_at=START,
    )  # fmt: skip
    names = {"id": "'inc-' || lpad(g::text, 18, '0')", "source": "'s' || g"}
    yield "incidents", _copies(incident, size.incidents, **names)


def _copies(prototype: SQLModel, count: int, **changed: str) -> Insert:
    """Return the statement that makes `count` rows; `changed` are SQL of the number g."""
    table = cast("Table", type(prototype).__table__)  # type: ignore[attr-defined]  # SQLModel does not declare it
    columns = [
        one
        for one in table.columns
        if one.name in changed or getattr(prototype, one.name) is not None
    ]
    values = [_value(prototype, one, changed) for one in columns]
    rows = select(*values).select_from(text(f"generate_series(1, {count}) AS g"))
    return insert(table).from_select([one.name for one in columns], rows)


def _value(
    prototype: SQLModel,
    column: Any,  # noqa: ANN401 a column of any type
    changed: dict[str, str],
) -> ColumnElement[Any]:
    if column.name in changed:
        return literal_column(changed[column.name])
    value = getattr(prototype, column.name)
    return null() if value is None else literal(value, column.type)


def _old(kind: str, number: str = "g") -> str:
    return f"'{kind}-' || lpad((({number}) * 10)::text, 18, '0')"


def _new(kind: str, step: int) -> str:
    return f"'{kind}-' || lpad((g::bigint * {step} * 10 + 5)::text, 18, '0')"


ARGUMENTS = canonical.text(
    {"order_id": "o1", "amount": {"amount": 5_000, "currency": "USD"}}
)


def _run(release: str, *, status: RunStatus) -> RunRow:
    return RunRow(
        id="", workflow=WORKFLOW, tenant=TENANT, customer="", status=status,
        release=release, input=canonical.text({"customer": "c1", "text": "hello"}),
        started_by="svc-shop", turns=1, created_at=START,
    )  # fmt: skip


def _step() -> StepRow:
    return StepRow(run="", step=1, name="act", kind="act", created_at=START)


def _call() -> CallRow:
    return CallRow(
        run="", turn=1, index=0, tool=TOOL, authority="irreversible",
        arguments=ARGUMENTS, arguments_hash="0" * 64, gate="wait",
        subject="order_id=o1", created_at=START,
    )  # fmt: skip


def _approval(release: str, *, status: ApprovalStatus, run: str) -> ApprovalRow:
    verdict = {"kind": "ask", "approvers": 1, "role": "agent", "rule": "pay: ask 1"}
    return ApprovalRow(
        id="", run=run, turn=1, index=0, tenant=TENANT, workflow=WORKFLOW, customer="",
        tool=TOOL, subject="order_id=o1", status=status, arguments=ARGUMENTS,
        amount=5_000, currency="USD", verdict=verdict, rule="pay: ask 1", needed=1,
        role="agent", release=release, policy="0" * 64, binding="0" * 64,
        reason="The customer asked.", not_by=[], answer_by=START + timedelta(hours=4),
        created_at=START,
    )  # fmt: skip


def _decision() -> DecisionRow:
    return DecisionRow(
        approval="", person="amy", person_name="Amy", session="s", decision="approve",
        binding="0" * 64, effective="0" * 64, signature="", at=START,
    )  # fmt: skip


def _effect(*, status: EffectStatus, run: str) -> EffectRow:
    return EffectRow(
        key="", run=run, turn=1, index=0, revision=0, tenant=TENANT, workflow=WORKFLOW,
        customer="c", customer_key="c", tool=TOOL, corpora=[], status=status, arguments=ARGUMENTS,
        preview="{}", binding="0" * 64, approvers=["amy"], amount=5_000, currency="USD",
        holder="h1", lease_until=START, sending_at=START, created_at=START,
    )  # fmt: skip


def _attempt() -> AttemptRow:
    return AttemptRow(
        id="", run="", turn=1, number=1, provider="openai", model="gpt-5.2",
        status="settled", scopes=[], held_tokens=0, held_microusd=0, lease_until=START,
        created_at=START,
    )  # fmt: skip


def _audit() -> AuditRow:
    return AuditRow(at=START, actor="", kind="", payload="{}", previous="0")
