"""SQLite on the event loop itself: a statement takes microseconds, a thread's hop ten.

aiosqlite hands every step of every statement to a thread and back, which cost more than
half of a turn. Nothing here waits: reads never block in WAL mode, and the one lock that
writers contend for is requested without waiting, and requested again (`begin`).
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from keyturn.orchestrator.store.db.transaction import Tx

# How long a writer waits for the one write lock before it fails.
BUSY_S = 10.0
FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 0.02

PRAGMAS = (
    "journal_mode=WAL",
    # NORMAL may lose a commit at power loss: 0.40 against 0.03 ms (DESIGN, parts).
    "synchronous=FULL",
    "foreign_keys=ON",
    "temp_store=MEMORY",
)

Result = TypeVar("Result")


class InlineConnection(aiosqlite.Connection):
    """An aiosqlite connection without its thread; safe on the loop that made it."""

    async def _execute(
        self,
        fn: Callable[..., Result],
        *args: Any,  # noqa: ANN401 whatever `fn` takes
        **kwargs: Any,  # noqa: ANN401 as above
    ) -> Result:
        return fn(*args, **kwargs)

    async def _connect(self) -> "InlineConnection":
        if self._connection is None:
            self._connection = self._connector()
        return self

    def __await__(self) -> Generator[Any, None, "InlineConnection"]:
        """Open the file."""
        return self._connect().__await__()

    async def close(self) -> None:
        """Close the file."""
        self.stop()

    def stop(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] there is no thread to wait for
        """Close the file at once."""
        connection, self._connection, self._running = self._connection, None, False
        if connection is not None:
            connection.close()


def keep_private(path: Path) -> None:
    """Restrict the file to its owner; creates it if it does not exist.

    SQLite gives the same mode to the files that it creates beside it.
    """
    if str(path) == ":memory:":
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A file that cannot be opened, or is another user's, is named when connecting.
    with suppress(OSError):
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            # Never opened here: closing it would drop every lock that this process has
            # on it (POSIX), and another process would delete the log under its commits.
            path.chmod(0o600)


async def connection(path: Path) -> InlineConnection:
    """Return an open, configured connection to the file at `path`."""
    # Its first statements may find the file locked by the process that creates it.
    made = await InlineConnection(lambda: _open(path, wait_s=BUSY_S), 64)
    await made.execute("PRAGMA busy_timeout=0")
    return made


def _open(path: Path, *, wait_s: float) -> sqlite3.Connection:
    # No isolation level: the driver's own BEGIN is deferred, ours says IMMEDIATE.
    opened = sqlite3.connect(path, timeout=wait_s, isolation_level=None)
    for pragma in PRAGMAS:
        opened.execute(f"PRAGMA {pragma}")
    return opened


async def begin(session: Tx, *, wait_s: float = BUSY_S) -> None:
    """Take the write lock, waiting for at most `wait_s` without blocking the loop."""
    pause, clock = FIRST_PAUSE_S, asyncio.get_running_loop().time
    deadline = clock() + wait_s
    while True:
        try:
            await session.execute(text("BEGIN IMMEDIATE"))
        except OperationalError as error:
            if not is_locked(error) or clock() > deadline:
                raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
        else:
            return


def is_locked(error: OperationalError) -> bool:
    """Tell whether another connection holds the requested lock."""
    return "database is locked" in str(error.orig)
