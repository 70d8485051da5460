"""Connections to PostgreSQL: how they are opened, and checked before each use."""

import select
import time
from datetime import timedelta
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

# A connection unused for longer is checked by a query: the network may have dropped it.
UNUSED_S = 30.0
GIVEN_BACK = "given back"
# Per process: this many connections stay open, and this many more are opened when
# needed.
KEPT_OPEN, AT_PEAKS = 10, 20
# All of our queries return few rows: starting a parallel worker takes longer than they
# do.
SETTINGS = "-c timezone=UTC -c max_parallel_workers_per_gather=0"


def engine(url: str, *, transaction_timeout: timedelta, wait_s: float) -> AsyncEngine:
    """Return an engine whose transactions time out; `wait_s` is for a connection.

    A connection is not queried before each use, as `pool_pre_ping` does: that would add
    a transaction and two changes of mode to each of ours. Its socket says as much.
    """
    timeout_ms = transaction_timeout // timedelta(milliseconds=1)
    made = create_async_engine(
        url,
        pool_size=KEPT_OPEN,
        max_overflow=AT_PEAKS,
        pool_timeout=wait_s,
        connect_args={
            "connect_timeout": 3,
            "options": f"-c transaction_timeout={timeout_ms} {SETTINGS}",
        },
    )
    dialect = made.dialect

    def look(
        connection: DBAPIConnection, entry: ConnectionPoolEntry, _: object
    ) -> None:
        _look(dialect, connection, entry)

    event.listen(made.sync_engine, "checkout", look)
    event.listen(made.sync_engine, "checkin", _given_back)
    return made


def _given_back(_: object, entry: ConnectionPoolEntry) -> None:
    entry.info[GIVEN_BACK] = time.monotonic()


def _look(
    dialect: Dialect, connection: DBAPIConnection, entry: ConnectionPoolEntry
) -> None:
    """Refuse a connection that its server has ended; the pool opens another one.

    Sends nothing, so no answer is expected: a readable socket means that the connection
    has ended, or holds data that would be mistaken for the next answer.
    """
    driver: Any = entry.driver_connection
    if driver.closed or _can_be_read(driver.fileno()):
        raise DisconnectionError("the server ended the connection")
    given_back = entry.info.get(GIVEN_BACK)
    if given_back is None or time.monotonic() - given_back < UNUSED_S:
        return
    try:
        dialect.do_ping(connection)
    except Exception as error:
        # The pool's other connections were idle as long: none is checked one by one.
        raise InvalidatePoolError("the server no longer answers on it") from error


def _can_be_read(socket: int) -> bool:
    look = select.poll()
    look.register(socket, select.POLLIN)
    return bool(look.poll(0))
