"""Whether a switch is set as fast beside 300 event streams and 20 readers of /metrics.

`python benchmarks/streams.py [--quick]`. A web server of its own on PostgreSQL. A switch
is set again and again: alone; beside as many streams of one token as it lets through, with
the rest of the 300 refused again and again, while the run that they follow changes; beside
20 readers of /metrics; and alone once more. Each figure is of the same server, in the same
run; the machine's other work weighs on all.
"""

import argparse
import asyncio
import contextlib
import os
import random
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx2

from benchmarks import scale, seed, stage
from benchmarks.report import end, progress, report
from benchmarks.seed import Size
from keyturn.approvals.auth import accounts
from keyturn.approvals.web.quotas import STREAMS_EACH
from keyturn.orchestrator.processes import payload_keys
from keyturn.orchestrator.rules.authority.binding import new_key
from keyturn.orchestrator.store import migrate
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.row_codes import Voucher
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people import tokens
from keyturn.orchestrator.store.people.accounts import NewPerson
from tests.servers import postgres
from tests.servers.ports import free_port

STREAMS, READERS = 300, 20
# Below this a difference is the machine's.
FLOOR_MS = 25.0
GOALS = {
    "switch_beside_streams_ratio": "<= 2",
    "switch_beside_metrics_ratio": "<= 2",
}
READY_WITHIN_S = 60.0
# A refused stream is asked for again after so long; it is told to wait six times that.
REFUSED_AGAIN_S = 5.0
CHANGE_EVERY_S = 0.5
SCRAPE_EVERY_S = 0.2
SCRAPER = "a-token-of-this-benchmark"
SECRET = "k" * 32


@dataclass(frozen=True)
class Site:
    """The server, its database, and who asks it."""

    address: str
    store: Store
    operator: dict[str, str]
    follower: dict[str, str]
    run: str


@asynccontextmanager
async def site() -> AsyncGenerator[Site]:
    """Run PostgreSQL and a web server on it."""
    with (
        TemporaryDirectory() as folder,
        scale.data(None) as data,
        scale.server(data) as address,
    ):
        url = postgres.sqlalchemy_url(address, "postgres")
        await migrate.upgrade(url)
        await seed.seed(url, Size(runs=2_000, waiting=500))
        store = Store(url, voucher=Voucher(SECRET))
        port = free_port()
        try:
            with stage.process(
                "-P",
                "-m",
                "keyturn.orchestrator.cli",
                "serve",
                env=_env(url, port, folder),
            ):
                at = f"http://127.0.0.1:{port}"
                await _ready(at)
                operator = await _person(store, "operator")
                follower = await _person(store, "agent")
                run = f"run-{5 + 40:018d}"
                yield Site(at, store, operator, follower, run)
        finally:
            await store.close()


def _env(url: str, port: int, folder: str) -> dict[str, str]:
    own = {
        "DATABASE_URL": url,
        "PORT": str(port),
        "DATA_DIR": folder,
        "SECRET_KEY": SECRET,
        "DECISION_KEY": new_key(),
        "PAYLOAD_KEYS": payload_keys.new_keys(),
        "TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}",
        "METRICS_TOKEN": SCRAPER,
    }
    return {f"KEYTURN_{name}": value for name, value in own.items()}


async def _ready(address: str) -> None:
    async with asyncio.timeout(READY_WITHIN_S), httpx2.AsyncClient() as http:
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                if (await http.get(f"{address}/healthz")).status_code == 200:
                    return
            await asyncio.sleep(0.1)


async def _person(store: Store, role: str) -> dict[str, str]:
    fields = {"name": role, "email": f"{role}@example.com", "role": role}
    row = await accounts.add(store, NewPerson.model_validate(fields), password=None)
    await person_accounts.waive_first_day(store, row.id, by="bench")
    token = await tokens.create(store, row.id, name="bench", by=row.id)
    return {"Authorization": f"Bearer {token}"}


async def timed(ask: Callable[[int], Awaitable[None]], times: int) -> float:
    """Return the 95th percentile of what is asked again and again, in milliseconds."""
    found: list[float] = []
    for number in range(times + 1):
        begun = time.perf_counter()
        await ask(number)
        found.append(1000 * (time.perf_counter() - begun))
    del found[0]
    return statistics.quantiles(found, n=20, method="inclusive")[-1]


def switches(
    site: Site, http: httpx2.AsyncClient, name: str
) -> Callable[[int], Awaitable[None]]:
    """Return what sets a switch, each time another one."""

    async def ask(number: int) -> None:
        wanted = {"scope": {"workflow": "none"}, "mode": "halt", "reason": "bench"}
        answer = await http.put(
            f"{site.address}/api/v1/switches/{name}-{number}",
            json=wanted | {"anyway": True},
            headers=site.operator,
        )
        if answer.is_error:
            raise RuntimeError(f"no switch was set: {answer.text}")

    return ask


@asynccontextmanager
async def beside(*works: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Let work go on, again and again, while the block does."""

    async def forever(work: Callable[[], Awaitable[None]]) -> None:
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                await work()

    tasks = [asyncio.create_task(forever(work)) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def follow_all(address: str, run: str, token: str) -> None:
    """Follow a run by many streams of one token, for ever; say when it is as it stays."""
    headers, opened, refused = {"Authorization": token}, 0, 0
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)

    def say() -> None:
        if opened == STREAMS_EACH and refused >= STREAMS - STREAMS_EACH:
            sys.stdout.write("ready\n")
            sys.stdout.flush()

    async def follow() -> None:
        nonlocal opened, refused
        path = f"{address}/api/v1/runs/{run}/events"
        async with http.stream("GET", path, headers=headers) as answer:
            if answer.status_code == 429:
                refused += 1
                say()
                await asyncio.sleep(REFUSED_AGAIN_S * random.uniform(0.5, 1.5))  # noqa: S311 spreads load like browsers; not a secret
                return
            answer.raise_for_status()
            opened += 1
            say()
            async for _ in answer.aiter_lines():
                pass

    async with (
        httpx2.AsyncClient(timeout=60, limits=limits) as http,
        beside(*[follow] * STREAMS),
    ):
        await asyncio.Event().wait()


@asynccontextmanager
async def followers(site: Site) -> AsyncGenerator[None]:
    """Run them in a process of their own: what they take is not the timing client's."""
    command = (str(Path(__file__)), "--follow", site.address, site.run)
    env = {"FOLLOWER": site.follower["Authorization"]}
    with stage.process(*command, env=env) as running:
        if running.stdout is None:
            raise RuntimeError("the followers have no output")
        await asyncio.to_thread(running.stdout.readline)
        yield


async def measure(site: Site, *, times: int) -> dict[str, float]:
    """Return the figures."""
    async with httpx2.AsyncClient(timeout=60) as http:

        async def change() -> None:
            await asyncio.sleep(CHANGE_EVERY_S)
            path = f"{site.address}/api/v1/runs/{site.run}/notes"
            await http.post(path, json={"text": "x"}, headers=site.operator)

        async def read(_: int) -> None:
            path = f"{site.address}/api/v1/runs?limit=20"
            (await http.get(path, headers=site.operator)).raise_for_status()

        async def scrape() -> None:
            headers = {"Authorization": f"Bearer {SCRAPER}"}
            await http.get(f"{site.address}/metrics", headers=headers)
            await asyncio.sleep(SCRAPE_EVERY_S)

        before = await timed(switches(site, http, "alone"), times)
        reads_alone = await timed(read, times)
        progress(f"alone: {before:.1f} ms")
        async with followers(site), beside(change):
            streamed = await timed(switches(site, http, "streams"), times)
            reads = await timed(read, times)
        progress(f"beside streams: {streamed:.1f} ms")
        async with beside(*[scrape] * READERS):
            scraped = await timed(switches(site, http, "metrics"), times)
        progress(f"beside {READERS} readers of /metrics: {scraped:.1f} ms")
        after = await timed(switches(site, http, "again"), times)
    alone = max(FLOOR_MS, before, after)
    return {
        "switch_alone_p95_ms": before,
        "switch_alone_again_p95_ms": after,
        "switch_beside_streams_p95_ms": streamed,
        "switch_beside_streams_ratio": streamed / alone,
        "switch_beside_metrics_p95_ms": scraped,
        "switch_beside_metrics_ratio": scraped / alone,
        "read_alone_p95_ms": reads_alone,
        "read_beside_streams_p95_ms": reads,
    }


async def main() -> int:
    """Measure, print the line, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer switches")
    parser.add_argument("--follow", nargs=2, metavar=("ADDRESS", "RUN"))
    asked = parser.parse_args()
    if asked.follow:
        address, run = asked.follow
        await follow_all(address, run, os.environ["FOLLOWER"])
        return 0
    async with site() as opened:
        figures = await measure(opened, times=20 if asked.quick else 100)
    return report("streams", figures, GOALS)


if __name__ == "__main__":
    end(asyncio.run(main()))
