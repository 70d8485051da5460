"""New rows of runs, read once for all streams that follow them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from keyturn.approvals.api import run_body
from keyturn.approvals.api.run_body import Run
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import AuditRow
from keyturn.orchestrator.store.views import fingerprints

# A transaction ends within 2 s of its time stamp (engine.TRANSACTION_TIMEOUT).
LATEST_COMMIT = timedelta(seconds=5)


@dataclass(frozen=True, eq=False)
class News:
    """How a run is, and every row of it from `since` on, up to `newest`.

    `is_over`: it has ended, and nothing more of it can commit.
    """

    run: Run
    is_over: bool
    rows: tuple[AuditRow, ...]
    since: datetime
    newest: datetime
    fingerprint: str


async def look(
    store: Store, names: Sequence[str], before: Mapping[str, News]
) -> Mapping[str, News]:
    """Return the news of runs; of a run without a change, what there was `before`."""
    async with store.read() as session:
        prints = await fingerprints.runs_in(session, names)
        now = await session.read_clock()
        found: dict[str, News] = {}
        for name in names:
            last = before.get(name)
            news = (
                last
                if last is not None and last.fingerprint == prints[name]
                else await _read(session, name, last, prints[name])
            )
            if news is not None:
                found[name] = _at(news, now)
    return found


def is_over(run: Run, now: datetime) -> bool:
    """Tell whether a run has ended and nothing more of it can commit."""
    ended = run.ended_at if run.status in ENDED_RUNS else None
    return ended is not None and now - ended > LATEST_COMMIT


async def _read(
    session: Tx, name: str, last: News | None, fingerprint: str
) -> News | None:
    newest = last.newest if last else await log.latest_of_run(session, name)
    if newest is None:
        return None
    since = newest - LATEST_COMMIT
    rows = await log.of_run(session, name, since=since)
    try:
        [run] = await run_body.bodies(session, [await run_lookup.get(session, name)])
    except NotFound:
        return None
    return News(
        run=run,
        is_over=False,
        rows=tuple(rows),
        since=since,
        newest=max([newest, *(row.at for row in rows)]),
        fingerprint=fingerprint,
    )


def _at(news: News, now: datetime) -> News:
    if news.is_over == is_over(news.run, now):
        return news
    return replace(news, is_over=True)
