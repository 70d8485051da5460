"""Live events of a run (server-sent events).

Rows commit out of order, so no id is a cursor: each query overlaps the one before it,
and rows already sent are remembered. After a reconnection the last seconds may be sent
again; clients recognise repetitions by `data.id`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import structlog
from fastapi import Header
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import AwareDatetime

from keyturn.approvals.api import record_body, run_body, run_feed
from keyturn.approvals.api.replies import ONE
from keyturn.approvals.api.run_body import Run
from keyturn.approvals.api.run_feed import LATEST_COMMIT, News
from keyturn.approvals.auth import permissions
from keyturn.approvals.auth.visitor import SignedIn
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import PartsDep
from keyturn.approvals.web.tenancy import VisibleRun
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.store.audit import log as audit_log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import AuditRow

router = routing.of_api("runs")
log = structlog.get_logger()

# How many past rows a stream holds in memory.
PAGE = 200
# Then the client connects again.
LONGEST_STREAM_S = 600
# Every database can store a time between these, in any time zone.
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
END = datetime(2200, 1, 1, tzinfo=UTC)

Since = Annotated[
    AwareDatetime | None,
    Header(alias="Last-Event-ID", description="The id of the last event received"),
]


@router.get("/runs/{id}/events", response_class=EventSourceResponse, responses=ONE)
async def follow_run(
    row: VisibleRun, visitor: SignedIn, parts: PartsDep, since: Since = None
) -> AsyncIterator[ServerSentEvent]:
    """Stream a run's audit entries and, at each change, the run; `end` when it ends.

    The stream stops without `end` when the session or token that opened it ends, or when
    the caller's role or tenant changes.
    """
    following = _Following(
        parts.store,
        row.id,
        since,
        is_operator=permissions.may(visitor.person, "audit.read"),
    )
    news = parts.watcher.events.follow(row.id, visitor.credential)
    try:
        async for event in following.events(news):
            yield event
    except StoreUnavailable as error:
        # The stream ends; the client reconnects and gets the current state.
        log.warning("events.store_away", run=row.id, error=str(error))


class _Following:
    """One stream: which rows of a run it has sent and which are still to be sent."""

    def __init__(
        self, store: Store, run: str, since: datetime | None, *, is_operator: bool
    ) -> None:
        self._is_operator = is_operator
        self._store = store
        self._run = run
        self._newest = min(max(since or BEGINNING, BEGINNING), END)
        self._seen: dict[int, datetime] = {}
        self._shown: Run | None = None

    async def events(
        self, following: AsyncIterator[News]
    ) -> AsyncIterator[ServerSentEvent]:
        """Yield past rows, which each stream reads for itself, then new ones."""
        async for event in self._missed():
            yield event
        run, is_over = await self._state()
        for event in self._state_events(run, is_over=is_over):
            yield event
        if is_over:
            return
        clock = asyncio.get_running_loop().time
        end_at = clock() + LONGEST_STREAM_S
        async for news in following:
            async for event in self._of(news):
                yield event
            if news.is_over or clock() >= end_at:
                return

    async def _of(self, news: News) -> AsyncIterator[ServerSentEvent]:
        if news.since > self._since():
            # This stream is slower than its run.
            async for event in self._missed():
                yield event
        for event in self._rows(news.rows):
            yield event
        for event in self._state_events(news.run, is_over=news.is_over):
            yield event

    def _since(self) -> datetime:
        return self._newest - LATEST_COMMIT

    async def _missed(self) -> AsyncIterator[ServerSentEvent]:
        since, last = self._since(), None
        while True:
            async with self._store.read() as session:
                rows = await audit_log.of_run(
                    session, self._run, since=since, after=last, limit=PAGE
                )
            for event in self._rows(rows):
                yield event
            if len(rows) < PAGE:
                return
            last = rows[-1]

    async def _state(self) -> tuple[Run, bool]:
        async with self._store.read() as session:
            row = await run_lookup.get(session, self._run)
            now = await session.read_clock()
            [body] = await run_body.bodies(session, [row])
        return body, run_feed.is_over(body, now)

    def _state_events(self, run: Run, *, is_over: bool) -> list[ServerSentEvent]:
        found: list[ServerSentEvent] = []
        if run != self._shown:
            self._shown = run
            found.append(ServerSentEvent(event="run", data=run))
        if is_over:
            found.append(ServerSentEvent(event="end", data=run.status))
        return found

    def _rows(self, rows: Sequence[AuditRow]) -> list[ServerSentEvent]:
        return [
            ServerSentEvent(
                event=row.kind,
                data=record_body.audit_entry(row, is_operator=self._is_operator),
                id=row.at.isoformat(),
            )
            for row in self._fresh(rows)
        ]

    def _fresh(self, rows: Sequence[AuditRow]) -> list[AuditRow]:
        since = self._since()
        fresh = [row for row in rows if row.id not in self._seen and row.at >= since]
        self._seen |= {row.id: row.at for row in fresh if row.id is not None}
        self._newest = max([self._newest, *(row.at for row in fresh)])
        oldest = self._since()
        self._seen = {one: at for one, at in self._seen.items() if at >= oldest}
        return fresh
