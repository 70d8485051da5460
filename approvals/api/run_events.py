"""What happens to a run, as it happens (server-sent events).

Rows commit out of order, so no id is a cursor: each look reads a little further back
than the last, and what was sent is remembered. After a reconnection the last seconds
may be sent again; `data.id` tells what came before.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import structlog
from fastapi import Header
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import AwareDatetime

from approvals import routing
from approvals.api import record_body, run_body
from approvals.api.replies import ONE
from approvals.api.run_body import Run
from approvals.api.tenancy import VisibleRun
from approvals.auth import permissions, standing
from approvals.auth.standing import ASK_EVERY_S, IsLetIn
from approvals.auth.visitor import SignedIn
from approvals.dependencies import StoreDep
from orchestrator.errors import StoreUnavailable
from orchestrator.status import ENDED_RUNS
from orchestrator.store import audit, runs
from orchestrator.store.engine import Store
from orchestrator.store.tables import AuditRow

router = routing.of_api("runs")
log = structlog.get_logger()

# A transaction ends within 2 s of its time stamp (engine.TRANSACTION_TIMEOUT).
LATEST_COMMIT = timedelta(seconds=5)
LOOK_EVERY_S = 0.5
# Then the client connects again.
LONGEST_STREAM = timedelta(minutes=10)
# Between these every database holds a time, in whatever zone it was written.
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
END = datetime(2200, 1, 1, tzinfo=UTC)

Since = Annotated[
    AwareDatetime | None,
    Header(alias="Last-Event-ID", description="The id of the last event received"),
]


@router.get("/runs/{id}/events", response_class=EventSourceResponse, responses=ONE)
async def follow_run(
    row: VisibleRun, visitor: SignedIn, store: StoreDep, since: Since = None
) -> AsyncIterator[ServerSentEvent]:
    """Stream a run's audit rows and, whenever it changes, the run; `end` at its end.

    It stops without `end` once the session or token that opened it has ended, or role
    or tenant are others.
    """
    following = _Following(
        store,
        row.id,
        since,
        lambda: standing.is_unchanged(store, visitor),
        is_operator=permissions.may(visitor.person, "audit.read"),
    )
    try:
        async for event in following.events():
            yield event
    except StoreUnavailable as error:
        # The stream ends; the client connects again and is told where it stands.
        log.warning("events.store_away", run=row.id, error=str(error))


class _Following:
    def __init__(
        self,
        store: Store,
        run: str,
        since: datetime | None,
        is_let_in: IsLetIn,
        *,
        is_operator: bool,
    ) -> None:
        self._is_operator = is_operator
        self._store = store
        self._run = run
        self._is_let_in = is_let_in
        self._newest = min(max(since or BEGINNING, BEGINNING), END)
        self._seen: dict[int, datetime] = {}
        self._shown: Run | None = None

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        left = int(LONGEST_STREAM.total_seconds() / LOOK_EVERY_S)
        clock = asyncio.get_running_loop().time
        ask_at = clock()
        for _ in range(left):
            if clock() >= ask_at:
                if not await self._is_let_in():
                    return
                ask_at = clock() + ASK_EVERY_S
            rows, run, is_over = await self._look()
            for row in self._fresh(rows):
                yield ServerSentEvent(
                    event=row.kind,
                    data=record_body.audit_entry(row, is_operator=self._is_operator),
                    id=row.at.isoformat(),
                )
            if run != self._shown:
                self._shown = run
                yield ServerSentEvent(event="run", data=run)
            if is_over:
                yield ServerSentEvent(event="end", data=run.status)
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> tuple[list[AuditRow], Run, bool]:
        async with self._store.read() as session:
            since = self._newest - LATEST_COMMIT
            rows = await audit.of_run(session, self._run, since=since)
            run = await runs.get(session, self._run)
            now = await self._store.now(session)
            [body] = await run_body.bodies(session, [run])
        ended = run.ended_at if run.status in ENDED_RUNS else None
        return rows, body, ended is not None and now - ended > LATEST_COMMIT

    def _fresh(self, rows: list[AuditRow]) -> list[AuditRow]:
        fresh = [row for row in rows if row.id not in self._seen]
        self._seen |= {row.id: row.at for row in fresh if row.id is not None}
        self._newest = max([self._newest, *(row.at for row in fresh)])
        oldest = self._newest - LATEST_COMMIT
        self._seen = {one: at for one, at in self._seen.items() if at >= oldest}
        return fresh
