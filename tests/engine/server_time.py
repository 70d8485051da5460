"""The clock of a time-skipping server, as the port that the store reads."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.empty_pb2 import Empty
from temporalio.client import Client


@dataclass(frozen=True)
class ServerTime:
    """Tells that server's time; it is asked on a loop of its own thread.

    The port is no coroutine: whoever looks waits for the answer.
    """

    client: Client
    loop: asyncio.AbstractEventLoop

    def __call__(self) -> datetime:
        found = asyncio.run_coroutine_threadsafe(self._ask(), self.loop)
        return found.result(timeout=10)

    async def _ask(self) -> datetime:
        answer = await self.client.test_service.get_current_time(Empty())
        return answer.time.ToDatetime(tzinfo=UTC)


@contextmanager
def server_time(address: str) -> Generator[ServerTime]:
    """Yield the clock of the time-skipping server at this address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        connecting = asyncio.run_coroutine_threadsafe(Client.connect(address), loop)
        yield ServerTime(connecting.result(timeout=30), loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
