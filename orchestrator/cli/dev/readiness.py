"""Whether the children work, tested in the way that their users would use them."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx2
from temporalio.client import Client
from temporalio.service import RPCError

from keyturn.orchestrator.processes import pollers
from keyturn.orchestrator.processes.connection import connect
from keyturn.orchestrator.processes.exit_status import Away
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.releases import releases

LOOK_S = 0.1
REQUEST_S = 2.0

Probe = Callable[[], Awaitable[bool]]


class NotReady(Away):
    """A child does not become ready in time."""


async def wait(name: str, probe: Probe, *, within_s: float) -> None:
    """Return when the probe succeeds; raise `NotReady` if it never does."""
    try:
        async with asyncio.timeout(within_s):
            while not await probe():  # noqa: ASYNC110 the other process offers no event to wait for
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise NotReady(f"{name} was not ready within {within_s:g} s.") from None


def answers(url: str, client: httpx2.AsyncClient) -> Probe:
    """Return a probe that requests a page and expects 200."""

    async def probe() -> bool:
        try:
            return (await client.get(url, timeout=REQUEST_S)).status_code == 200
        except httpx2.HTTPError:
            return False

    return probe


def released(url: str) -> Probe:
    """Return a probe that expects some workflow's release to be live."""

    async def probe() -> bool:
        store = Store(url)
        try:
            async with store.read() as session:
                return bool(await releases.all_live(session))
        finally:
            await store.close()

    return probe


def polled(settings: Settings) -> Probe:
    """Return a probe that expects a worker on each of our queues."""
    connected: list[Client] = []

    async def probe() -> bool:
        try:
            if not connected:
                connected.append(await connect(settings, is_looking=True))
            counts = await pollers.count(connected[0], settings)
        except (RPCError, RuntimeError):
            return False
        return all(counts.values())

    return probe
