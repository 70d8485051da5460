"""Access to the database: short transactions, one clock, two dialects."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context, ContextVar, copy_context
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    InternalError,
    OperationalError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from keyturn.orchestrator.rules.clock import Clock
from keyturn.orchestrator.rules.errors import InvalidValue, StoreUnavailable
from keyturn.orchestrator.rules.pace import Bell
from keyturn.orchestrator.store.db import audit_entries, postgres, sqlite
from keyturn.orchestrator.store.db.row_codes import Voucher
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.db.transaction_limit import TurnsAtOnce

# A transaction never waits for the network, so 2 s without an end is a fault.
TRANSACTION_TIMEOUT = timedelta(seconds=2)
CLOSE_LOOK_S = 0.005
# A process waits for a connection at most as long as this many transactions take.
WAITS = 2.5
# How long a bounded process waits for a turn: to fail and repeat everything costs more.
TURN_WITHIN_S = 20.0


class Beside(Protocol):
    """Takes part in each transaction that a request commits; see `db.request_keys`."""

    async def add(self, session: Tx) -> None:
        """Write into the transaction before it commits."""
        ...

    def committed(self) -> None:
        """Learn that the transaction has committed."""
        ...


beside: ContextVar[Beside | None] = ContextVar("beside", default=None)
# Whether this task's transactions go ahead of all others: switches, pauses, and lifting
# them. It matters if a store has a `reserve`.
ahead: ContextVar[bool] = ContextVar("ahead", default=False)


def apart() -> Context:
    """Return the context of a task that commits nothing of the present request."""
    context = copy_context()
    context.run(beside.set, None)
    return context


class Store:
    """The record of one installation; safe to share between tasks of one event loop."""

    def __init__(  # noqa: PLR0913 what kinds of processes differ in
        self,
        url: str,
        *,
        clock: Clock | None = None,
        transaction_timeout: timedelta = TRANSACTION_TIMEOUT,
        at_once: int | None = None,
        voucher: Voucher | None = None,
        reserve: int = 0,
    ) -> None:
        """Take an SQLAlchemy URL of SQLite (aiosqlite) or PostgreSQL (psycopg).

        With `voucher` the web process and its commands vouch for the rows that give
        authority; without one these rows are read as they are and never written.

        At most `at_once` transactions run at a time on PostgreSQL, fewer if they take
        long, and others wait before they begin; None means as many as there are
        connections. Of these, `reserve` are only for tasks that go `ahead`, which
        therefore never wait for the others.
        """
        self.url = url
        self._shown_url = make_url(url).render_as_string(hide_password=True)
        self._clock = clock
        # Closing waits for a transaction no longer than it may last.
        self._close_within_s = transaction_timeout.total_seconds()
        self.voucher = voucher
        # Set by each commit of this process that adds to the audit log.
        self.audited = Bell()
        self.engine = _engine(url, transaction_timeout)
        self._is_closed = False
        self._turn_within_s = TURN_WITHIN_S
        self._turns: TurnsAtOnce | None = None
        self._ahead: TurnsAtOnce | None = None
        # SQLite has one writer anyway.
        if at_once and not self.is_sqlite:
            self._turns = TurnsAtOnce(at_once)
        elif reserve and not self.is_sqlite:
            rest = postgres.KEPT_OPEN + postgres.AT_PEAKS - reserve
            self._turns = TurnsAtOnce(rest, least=rest)
            self._ahead = TurnsAtOnce(reserve, least=reserve)
            # People wait for these processes; they get an answer soon.
            self._turn_within_s = WAITS * transaction_timeout.total_seconds()

    def _faults(self) -> "_named_faults":
        return _named_faults(self._shown_url, is_file=self.is_sqlite)

    @property
    def is_sqlite(self) -> bool:
        """Tell whether the database is SQLite."""
        return self.engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[Tx]:
        """Yield a session that only reads.

        Raises `StoreUnavailable` if the database is unreachable or cannot write.
        """
        with self._faults():
            async with self._turn(self._turn_within_s), self._session() as session:
                yield session

    @asynccontextmanager
    async def write(
        self, *, wait_s: float | None = None, first: bool = False
    ) -> AsyncGenerator[Tx]:
        """Yield a session whose work commits at the end, or not at all.

        On SQLite the write lock is taken at the start, so that what was read stays
        true; `StoreUnavailable` is raised if the lock is not free within `wait_s`. The
        same happens if the process bounds its concurrent transactions and no turn is
        free in that time. With `first`, a transaction that ends something already begun
        goes before all those that begin something.
        """
        within_s = self._turn_within_s if wait_s is None else wait_s
        turn = self._turn(within_s, first=first)
        with self._faults():
            async with turn, self._session() as session:
                if self.is_sqlite:
                    busy_s = sqlite.BUSY_S if wait_s is None else wait_s
                    await sqlite.begin(session, wait_s=busy_s)
                own = beside.get()
                async with _committing(session):
                    yield session
                    if own is not None:
                        await own.add(session)
                    is_audited = await audit_entries.add(session)
                if own is not None:
                    own.committed()
                if is_audited:
                    self.audited.ring()

    @asynccontextmanager
    async def _turn(
        self, within_s: float, *, first: bool = False
    ) -> AsyncGenerator[None]:
        turns = self._ahead if self._ahead is not None and ahead.get() else self._turns
        if turns is None:
            yield
            return
        async with AsyncExitStack() as held:
            try:
                turn = turns.turn(first=first, within_s=within_s)
                await held.enter_async_context(turn)
            except TimeoutError:
                raise StoreUnavailable(
                    f"The database {self._shown_url} is busy: this process had no turn "
                    f"within {within_s:g} s. Nothing was changed; it is retried.",
                    public_message="The database is busy. Nothing was changed; "
                    "repeat this in a moment.",
                ) from None
            yield

    def _session(self) -> Tx:
        if self._is_closed:
            raise StoreUnavailable(
                f"The database {self._shown_url} is closed: this process is ending.",
                public_message="This server is shutting down. Nothing was changed; repeat this in a "
                "moment.",
            )
        return Tx(self.engine, clock=self._clock, voucher=self.voucher)

    async def close(self) -> None:
        """Close the connections once nothing uses them any more.

        A cancelled task still returns its own connection and needs the pool for that.
        Work that would only begin is refused: it could outlive the event loop, and its
        connection with it.
        """
        self._is_closed = True
        pool = self.engine.pool
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._close_within_s
        while isinstance(pool, QueuePool) and pool.checkedout() and clock() < deadline:  # noqa: ASYNC110 a pool has no event
            await asyncio.sleep(CLOSE_LOOK_S)
        # A disposed pool keeps connections that are returned to it, and never closes
        # them.
        event.listen(pool, "checkin", _close_late)
        await self.engine.dispose()


@asynccontextmanager
async def _committing(session: Tx) -> AsyncGenerator[None]:
    try:
        yield
        await session.commit()
    except BaseException:
        await session.rollback()
        raise


def _close_late(_: object, entry: ConnectionPoolEntry) -> None:
    entry.close()


# A standby that cannot write and a transaction that timed out are "internal".
_FAULTS = (OperationalError, InternalError, OSError, NoConnection)


class _named_faults:  # noqa: N801 reads as the with-statement it is used in
    """Turns a driver's fault into `StoreUnavailable`; lets broken constraints pass."""

    def __init__(self, url: str, *, is_file: bool) -> None:
        self._url = url
        self._is_file = is_file

    def __enter__(self) -> None:
        """Do nothing; the work happens at the end."""

    def __exit__(
        self, kind: object, error: BaseException | None, trace: object
    ) -> None:
        """Raise `StoreUnavailable` for a fault of the database itself.

        Raises `InvalidValue` if the database works but cannot hold the value.
        """
        if isinstance(error, StatementError) and isinstance(error.orig, OverflowError):
            error = error.orig  # a driver's own, before anything was asked
        if isinstance(error, DataError | UnicodeEncodeError | OverflowError):
            raise InvalidValue(
                "a value cannot be stored: a text with U+0000 or half a character, or "
                "a number that is too large; correct it"
            ) from error
        if isinstance(error, _FAULTS) or (
            isinstance(error, DBAPIError) and error.connection_invalidated
        ):
            why = str(getattr(error, "orig", error)).strip()
            # A server's driver names its host; a file's driver says what is wrong with
            # the file.
            shown = f": {why}" if self._is_file else ""
            raise StoreUnavailable(
                f"The database {self._url} cannot be used now: {why}. Nothing was "
                "changed; check that it runs and has room.",
                public_message=f"The database cannot be used now{shown}. Nothing was changed; "
                "repeat this in a moment. The server's log has the details.",
            ) from error


def _engine(url: str, transaction_timeout: timedelta) -> AsyncEngine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(url, parsed.database)
    wait_s = WAITS * transaction_timeout.total_seconds()
    return postgres.engine(url, transaction_timeout=transaction_timeout, wait_s=wait_s)


def _sqlite(url: str, database: str | None) -> AsyncEngine:
    path = Path(database or "keyturn.db")
    sqlite.keep_private(path)
    return create_async_engine(
        url,
        pool_size=10,
        max_overflow=20,
        async_creator=lambda: sqlite.connection(path),
    )
