"""Whether controls and lists stay fast however much has been: 10,400 runs and a million.

`python benchmarks/scale.py [--quick] [--runs 6000000] [--data FOLDER]`. Two databases of
one PostgreSQL server have the same open work (10,000 waiting approvals) and more or less
history; each control and list is timed in both. With `--data` the server's folder is
kept, and filled only where it is not.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx2
import psycopg

from benchmarks import seed
from benchmarks.report import end, progress, report
from benchmarks.seed import HELD_BY, RARE_ACTOR, RARE_TENANT, TOOL, WORKFLOW, Size
from keyturn.approvals.auth import accounts
from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.authority.switch import Scope, Switch
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store import migrate
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.row_codes import Voucher
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people import tokens
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.runs import bulk
from keyturn.orchestrator.store.runs.bulk import NewBulk
from keyturn.orchestrator.store.runs.listing import Filter
from keyturn.orchestrator.store.switches import impact as switch_impact
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.views.metrics import read as read_figures
from tests.servers import postgres

# The same open work, and as much history as fills the pages of what is rare.
SMALL = 10_400
# What people wait for while something goes wrong, and what they look at all day.
CONTROL_MS, INBOX_MS, LIST_MS = 150, 100, 150
# Of hundreds of thousands of open runs; here it is 10,000.
BULK_MS = 2_000
# A million against ten thousand, of the medians: what is above it grows with history.
GROWTH = 1.5
# Shorter than this, a difference is the machine's.
NOISE_MS = 3.0

Path_ = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Site:
    """One database, with a web application on it and two people's tokens."""

    store: Store
    http: httpx2.AsyncClient
    admin: dict[str, str]
    agent: dict[str, str]

    def get(self, path: str, *, by: str = "admin") -> Path_:
        """Return what asks for a path over HTTP."""
        headers = self.admin if by == "admin" else self.agent

        async def ask() -> None:
            answer = await self.http.get(path, headers=headers)
            answer.raise_for_status()

        return ask


def lists(site: Site) -> Mapping[str, Path_]:
    """Return what people and programs read, by name."""
    api = "/api/v1"
    return {
        "inbox": site.get("/inbox", by="agent"),
        "inbox_mine": site.get("/inbox?mine=1", by="agent"),
        "item": site.get(f"/inbox/{_waiting(site)}", by="agent"),
        "several": site.get("/inbox/several", by="agent"),
        "handoffs_page": site.get("/handoffs"),
        "runs_page": site.get("/runs"),
        "effects_page": site.get("/effects"),
        "ops_page": site.get("/ops"),
        "audit_page": site.get("/audit?kind=effect.un"),
        # Over HTTP nearly all would come from the figures that were kept.
        "metrics": lambda: read_figures(site.store),
        "runs_waiting": site.get(f"{api}/runs?status=waiting"),
        "runs_of_tenant": site.get(f"{api}/runs?tenant={RARE_TENANT}"),
        "runs_of_customer": site.get(f"{api}/runs?customer=w-77"),
        "approvals_pending": site.get(f"{api}/approvals?status=pending", by="agent"),
        "approvals_of_tenant": site.get(f"{api}/approvals?tenant={RARE_TENANT}"),
        "effects_unknown": site.get(f"{api}/effects?status=unknown"),
        "effects_of_tool": site.get(f"{api}/effects?tool={TOOL}"),
        "effects_of_run": site.get(f"{api}/effects?run=run-h{1:017d}"),
        "handoffs": site.get(f"{api}/runs?status=handed_off"),
        "incidents": site.get(f"{api}/incidents?status=open"),
        "audit_of_actor": site.get(f"{api}/audit?actor={RARE_ACTOR}"),
        "audit_of_common_actor": site.get(f"{api}/audit?actor=svc-shop"),
        "budgets": site.get(f"{api}/budgets?kind=tenant"),
        "events": site.get(f"{api}/runs/run-h{1:017d}/events"),
    }


def controls(site: Site) -> Mapping[str, Path_]:
    """Return what operators do, by name."""
    numbers = count()

    async def put() -> None:
        await switches.put(site.store, _switch(f"sw-{next(numbers)}"))

    async def put_again() -> None:
        await switches.put(site.store, _switch(HELD_BY.removeprefix("switch ")))

    async def clear() -> None:
        name = HELD_BY.removeprefix("switch ")
        await switches.put(site.store, _switch(name))
        await switches.clear(site.store, name, by="lea", reason="bench")

    async def impact() -> None:
        await switch_impact.impact(site.store, Scope(workflow=WORKFLOW))

    async def impact_of_tool() -> None:
        await switch_impact.impact(site.store, Scope(tool=TOOL))

    async def pause_all() -> None:
        wanted = Filter(workflow=WORKFLOW)
        new = NewBulk(verb="pause", filter=wanted, reason="bench", by="lea")
        row = await bulk.begin(site.store, new)
        await bulk.stop(site.store, row.id, by="lea", tenant=None)

    return {
        "switch_set": put,
        "switch_set_again": put_again,
        "switch_set_and_clear": clear,
        "impact_of_workflow": impact,
        "impact_of_tool": impact_of_tool,
        "bulk_pause": pause_all,
    }


def _switch(name: str) -> Switch:
    fields = {"id": name, "scope": {"workflow": "none"}, "mode": "halt"}
    fields |= {"reason": "bench", "author": "lea", "created_at": seed.START}
    return Switch.model_validate(fields)


def _waiting(site: Site) -> str:
    return site.admin["X-Waiting"]


Figures = dict[str, list[float]]


async def measure(
    sites: Sequence[Site], paths: Callable[[Site], Mapping[str, Path_]], *, rounds: int
) -> list[Figures]:
    """Return the milliseconds of each path on each site, its first call left out.

    They take turns, so that what else the machine does weighs on each alike.
    """
    chosen = [paths(one) for one in sites]
    found: list[Figures] = [{} for _ in sites]
    for name in chosen[0]:
        for _ in range(rounds + 1):
            for times, named in zip(found, chosen, strict=True):
                times.setdefault(name, []).append(await _timed(named[name]))
        for times in found:
            del times[name][0]
        words = ", ".join(f"{statistics.median(one[name]):.1f}" for one in found)
        progress(f"{name}: {words} ms")
    return found


async def _timed(path: Path_) -> float:
    begun = time.perf_counter()
    await path()
    return 1000 * (time.perf_counter() - begun)


@asynccontextmanager
async def site(url: str) -> AsyncGenerator[Site]:
    """Open a web application on a database."""
    store = Store(url, voucher=Voucher(new_key()))
    app = create_app(Settings(), store, None, Signer(new_key()))
    transport = httpx2.ASGITransport(app=app)
    waiting = await _first_waiting(store)
    try:
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://bench.test", timeout=60
        ) as http:
            admin = await _person(store, "admin") | {"X-Waiting": waiting}
            yield Site(store, http, admin, await _person(store, "agent"))
    finally:
        await store.close()


async def _first_waiting(store: Store) -> str:
    with psycopg.connect(_plain(store.url)) as connection:
        found = connection.execute(
            "SELECT id FROM approvals WHERE status = 'pending' ORDER BY id LIMIT 1"
        ).fetchone()
    return str(found[0]) if found else ""


async def _person(store: Store, role: str) -> dict[str, str]:
    fields = {"name": role, "email": f"{role}-{time.time_ns()}@example.com"}
    new = NewPerson.model_validate(fields | {"role": role})
    row = await accounts.add(store, new, password=None)
    await person_accounts.waive_first_day(store, row.id, by="bench")
    token = await tokens.create(store, row.id, name="bench", by=row.id)
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def server(folder: Path) -> Generator[str]:
    """Run PostgreSQL on a folder, new or as an earlier run left it."""
    started = postgres.server(folder)
    running = started.program.start()
    try:
        yield started.address
    finally:
        started.program.stop(running)


@contextmanager
def data(kept: Path | None) -> Generator[Path]:
    """Give the server's folder, one of its own where none is kept."""
    if kept is None:
        with postgres.private_folder() as folder:
            yield folder
        return
    kept.mkdir(parents=True, exist_ok=True)
    kept.chmod(0o755)
    yield kept


async def database(address: str, size: Size) -> str:
    """Return the URL of a database of that size, filled where it is not there yet."""
    name = f"scale_{size.runs}"
    with psycopg.connect(f"{address}postgres", autocommit=True) as connection:
        known = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", (name,)
        ).fetchone()
        if known is None:
            connection.execute(f"CREATE DATABASE {name}")  # pyright: ignore[reportArgumentType, reportCallIssue] a name of ours
    url = postgres.sqlalchemy_url(address, name)
    if known is None:
        await migrate.upgrade(url)
        await seed.seed(url, size)
    return url


def _plain(url: str) -> str:
    return url.replace("+psycopg", "")


async def compared(urls: Sequence[str], *, rounds: int) -> list[Figures]:
    """Return the milliseconds of each control and list, of each database."""
    async with AsyncExitStack() as stack:
        sites = [await stack.enter_async_context(site(url)) for url in urls]
        listed = await measure(sites, lists, rounds=rounds)
        controlled = await measure(sites, controls, rounds=rounds)
    return [one | other for one, other in zip(listed, controlled, strict=True)]


def judged(small: Figures, large: Figures) -> tuple[dict[str, float], dict[str, str]]:
    """Return the figures and their goals."""
    figures: dict[str, float] = {}
    goals: dict[str, str] = {}
    for name, times in large.items():
        figures[f"{name}_p95_ms"] = statistics.quantiles(times, n=20)[-1]
        goals[f"{name}_p95_ms"] = f"<= {_bound(name)}"
        figures[f"{name}_ms"] = statistics.median(times)
        before = statistics.median(small[name])
        figures[f"{name}_growth"] = statistics.median(times) / max(before, NOISE_MS)
        goals[f"{name}_growth"] = f"<= {GROWTH}"
    return figures, goals


def _bound(name: str) -> int:
    if name.startswith("bulk"):
        return BULK_MS
    if name.startswith("inbox"):
        return INBOX_MS
    return CONTROL_MS if name.startswith(("switch", "impact")) else LIST_MS


async def main() -> int:
    """Seed what is not there, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100,000 runs, few rounds")
    parser.add_argument("--runs", type=int, default=None)
    parser.add_argument("--data", type=Path, default=None, help="keep the server here")
    asked = parser.parse_args()
    runs = asked.runs or (100_000 if asked.quick else 1_000_000)
    rounds = 10 if asked.quick else 40
    with data(asked.data) as folder, server(folder) as address:
        small = await database(address, Size(SMALL))
        large = await database(address, Size(runs))
        before, after = await compared([small, large], rounds=rounds)
    figures, goals = judged(before, after)
    return report("scale", {"runs": runs, **figures}, goals)


if __name__ == "__main__":
    end(asyncio.run(main()))
