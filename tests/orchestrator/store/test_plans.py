"""What controls and lists ask of PostgreSQL is bounded by what is open, not by history.

Each statement that they send is explained on a record of 30,000 runs, most of them ended,
with true statistics: a plan that reads a whole table of the record fails.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks import scale, seed
from benchmarks.scale import Site
from benchmarks.seed import Size
from keyturn.orchestrator.store.approvals import deadlines, reassignment
from keyturn.orchestrator.store.budgets import settlement
from keyturn.orchestrator.store.effects import send
from keyturn.orchestrator.store.runs import bulk, unfinished
from keyturn.orchestrator.store.runs.bulk import NewBulk
from keyturn.orchestrator.store.runs.listing import Filter
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.views import fingerprints
from tests.servers import postgres

# Of the others the seeded record has no history.
TABLES = "runs approvals effects audit attempts decisions notes meters"
RECORD = frozenset(TABLES.split())
SIZE = Size(runs=30_000, waiting=300, held=20, handoffs=40)

Asked = list[tuple[str, Any]]


@pytest.fixture(scope="module")
def record(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A record with a long history and little that is open."""
    with postgres.database(postgres_server, template=postgres_template) as url:
        asyncio.run(seed.seed(url, SIZE))
        yield url


@pytest.fixture
async def site(record: str) -> AsyncIterator[Site]:
    """The web application on it."""
    async with scale.site(record) as opened:
        yield opened


def _paths(site: Site) -> Mapping[str, scale.Path_]:
    store = site.store
    return {
        **scale.lists(site),
        **scale.controls(site),
        "watch of the queue": lambda: fingerprints.queue(store, [fingerprints.ALL]),
        "watch of hand-offs": lambda: fingerprints.handoffs(store, [fingerprints.ALL]),
        "watch of runs": lambda: fingerprints.runs(store, seed.some_runs()),
        "watch of items": lambda: fingerprints.approvals(store, seed.some_items(SIZE)),
        "comparison": lambda: unfinished.open_runs(
            store, after="", grace=unfinished.RESTART_AGAIN, limit=500
        ),
        "runs that may fail in Temporal": lambda: unfinished.busy_runs(
            store, after="", grace=unfinished.RESTART_AGAIN, limit=20
        ),
        "deadlines": lambda: deadlines.warn(store),
        "dead attempts": lambda: settlement.charge_dead(store),
        "dead senders": lambda: send.give_to_people(store),
        "assignments": lambda: reassignment.repair(store),
        "switches that ran out": lambda: switches.release_ended(store),
        "pause of all that match": lambda: bulk.begin(store, _bulk("none")),
        "a batch of it": lambda: bulk.work(store),
    }


def _bulk(workflow: str) -> NewBulk:
    wanted = Filter(workflow=workflow)
    return NewBulk(verb="pause", filter=wanted, reason="look", by="lea")


async def test_no_list_and_no_control_reads_a_whole_table(site: Site) -> None:
    found: list[str] = []

    for name, path in _paths(site).items():
        with _statements(site.store.engine) as asked:
            await path()
        found += [f"{name}: {one}" for one in _scans(site.store.url, asked)]

    assert not found, "\n".join(found)


async def test_a_scan_is_found_where_there_is_one(site: Site) -> None:
    asked: Asked = [("SELECT count(*) FROM audit WHERE payload = 'x'", {})]

    assert _scans(site.store.url, asked)


@contextmanager
def _statements(engine: AsyncEngine) -> Generator[Asked]:
    """Collect what is asked of a database meanwhile."""
    asked: Asked = []

    def keep(*given: Any) -> None:
        statement, parameters = given[2], given[3]
        if statement.lstrip().split(None, 1)[0] in {"SELECT", "UPDATE", "WITH"}:
            asked.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", keep)
    try:
        yield asked
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", keep)


def _scans(url: str, asked: Asked) -> list[str]:
    """Return which tables of the record are read from end to end, and for what."""
    found: list[str] = []
    known: set[str] = set()
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        for statement, parameters in asked:
            if statement in known:
                continue
            known.add(statement)
            explained = connection.execute(
                cast("Any", f"EXPLAIN (FORMAT JSON) {statement}"), parameters
            ).fetchone()
            assert explained is not None
            plan = explained[0]
            root = json.loads(plan) if isinstance(plan, str) else plan
            found += [
                f"a scan of {table} for {' '.join(statement.split())}"
                for table in _tables(root[0]["Plan"])
            ]
        connection.rollback()
    return found


def _tables(plan: Mapping[str, Any]) -> list[str]:
    here = plan.get("Relation Name")
    found = [here] if plan["Node Type"] == "Seq Scan" and here in RECORD else []
    return found + [name for one in plan.get("Plans", ()) for name in _tables(one)]
