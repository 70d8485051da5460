"""A run as the API shows it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from keyturn.approvals.view import hold_words
from keyturn.orchestrator.rules.status import RunStatus
from keyturn.orchestrator.store import holds
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.runs import faults, listing
from keyturn.orchestrator.store.tables import CallRow, RunRow

MICRO = Decimal(1_000_000)

Usd = Annotated[
    str, Field(pattern=r"^-?\d+\.\d{6}$", description="US dollars as a decimal")
]


class FailingPlace(BaseModel):
    """A repeated failure: where, of which kind, how often, and since when.

    Operators see the error text on the run's page and in its incident.
    """

    model_config = ConfigDict(frozen=True, from_attributes=True)

    place: str
    kind: str
    times: int
    since: datetime
    last: datetime
    given_up: bool


class HeldCall(BaseModel):
    """A held call; other calls of the run may continue."""

    model_config = ConfigDict(frozen=True)

    call: str = Field(description="`run:turn.index`")
    tool: str
    held_by: str = Field(description="`pause by ID`, `switch ID` or `budget SCOPE`")
    held_words: str = Field(description="The same in words, with names and reasons")
    held_at: datetime


class Run(BaseModel):
    """One execution of a workflow for one input and tenant."""

    model_config = ConfigDict(frozen=True)

    id: str
    workflow: str
    tenant: str
    customer: str
    status: RunStatus
    stopped_by: str | None
    stopped_words: str | None = Field(description="What stopped it, in words")
    held_calls: list[HeldCall] = Field(description="Its held calls")
    release: str = Field(
        description="The hash of the release that the run is pinned to"
    )
    created_at: datetime
    ended_at: datetime | None
    turns: int
    tokens: int
    cost_usd: Usd
    output: dict[str, JsonValue] | None
    handed_off: dict[str, JsonValue] | None
    failure: str | None
    source: str | None
    external_id: str | None
    started_by: str | None
    failing: list[FailingPlace] = Field(
        description="What is being retried after a code error, oldest first"
    )
    pending: list[str] = Field(description="The ids of approvals that it waits for")


def usd(microusd: int) -> str:
    """Write micro-dollars as dollars, exactly."""
    return f"{Decimal(microusd) / MICRO:.6f}"


def body(
    row: RunRow,
    pending: Sequence[str],
    calls: Sequence[CallRow],
    held: Mapping[str, str],
) -> Run:
    """Return a run's body; `held` has the words for what stops it and its `calls`."""
    return Run(
        id=row.id,
        workflow=row.workflow,
        tenant=row.tenant,
        customer=row.customer,
        status=row.status,
        stopped_by=row.stopped_by,
        stopped_words=held.get(row.stopped_by or ""),
        held_calls=[_held(one, held) for one in calls],
        release=row.release,
        created_at=row.created_at,
        ended_at=row.ended_at,
        turns=row.turns,
        tokens=row.tokens,
        cost_usd=usd(row.cost_microusd),
        output=row.output,
        handed_off=row.handed_off,
        failure=row.failure,
        source=row.source,
        external_id=row.external_id,
        started_by=row.started_by,
        failing=[FailingPlace.model_validate(one) for one in faults.of(row)],
        pending=list(pending),
    )


async def bodies(session: Tx, rows: Sequence[RunRow]) -> list[Run]:
    """Return the bodies of many runs, with the approvals that each waits for."""
    waiting = await listing.pending_approvals(session, [row.id for row in rows])
    calls = await holds.of_runs(session, [row.id for row in rows])
    by = [one.held_by for found in calls.values() for one in found]
    held = await hold_words.words(session, [*(row.stopped_by for row in rows), *by])
    return [
        body(row, waiting.get(row.id, ()), calls.get(row.id, ()), held) for row in rows
    ]


def _held(row: CallRow, held: Mapping[str, str]) -> HeldCall:
    by = row.held_by or ""
    return HeldCall(
        call=f"{row.run}:{row.turn}.{row.index}",
        tool=row.tool,
        held_by=by,
        held_words=held.get(by, by),
        held_at=row.held_at or row.created_at,
    )


async def one(store: Store, row: RunRow) -> Run:
    """Return the current body of one run."""
    async with store.read() as session:
        [found] = await bodies(session, [row])
    return found
