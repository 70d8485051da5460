"""One transaction: a session, its locks, and the moment at which it acts."""

import hashlib
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from keyturn.orchestrator.rules.clock import Clock, system_clock
from keyturn.orchestrator.store.db.digests import Watched
from keyturn.orchestrator.store.db.row_codes import VOUCHER, Voucher

# Held shared by processes that lease, send or begin a run, exclusively by a switch
# (P3).
BARRIER = 0x4B455954
# The other kind of advisory lock, with two numbers, has a separate name space.
TURNS = 0x4B45


class Tx(AsyncSession):
    """A session that commits as a whole, with its time; `Store` makes it.

    The time is read after the locks that the transaction waits for, so that what came
    first is also earlier in the record. All that the transaction judges and writes
    carries this one moment.
    """

    def __init__(
        self, engine: AsyncEngine, *, clock: Clock | None, voucher: Voucher | None
    ) -> None:
        """Begin at the first statement; without `clock`, the database's time holds."""
        super().__init__(
            engine,
            expire_on_commit=False,
            info={VOUCHER: voucher},
            sync_session_class=Watched,
        )
        self._clock = clock
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._now: datetime | None = None

    @property
    def now(self) -> datetime:
        """Return the moment at which the transaction acts.

        Raises `RuntimeError` if it has not read the clock: a time from before its locks
        could be earlier than what others have recorded since.
        """
        if self._now is None:
            raise RuntimeError(
                "This transaction has not read the clock; call `read_clock` after its "
                "locks."
            )
        return self._now

    async def read_clock(self) -> datetime:
        """Read the time, after all locks; it becomes `now`, until it is read again.

        On PostgreSQL it is the database's own, the same for all processes.
        """
        if self._clock is not None:
            self._now = self._clock()
        elif self.is_sqlite:
            self._now = system_clock()
        else:
            time = select(func.clock_timestamp())
            self._now = (await self.execute(time)).scalar_one()
        return self.now

    async def share_barrier(self) -> None:
        """Take the lock that leasing, sending and beginning share; switches wait."""
        if not self.is_sqlite:
            await self.execute(
                text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": BARRIER}
            )

    async def share_barrier_now(self) -> datetime:
        """Share the barrier and return the time, read after the lock.

        One statement: the target list is evaluated from left to right.
        """
        if self.is_sqlite or self._clock is not None:
            await self.share_barrier()
            return await self.read_clock()
        both = text("SELECT pg_advisory_xact_lock_shared(:key), clock_timestamp()")
        self._now = (await self.execute(both, {"key": BARRIER})).one()[1]
        return self.now

    async def raise_barrier(self) -> None:
        """Take the lock alone: nothing leases, sends or begins until the commit."""
        if not self.is_sqlite:
            await self.execute(
                text("SELECT pg_advisory_xact_lock(:key)"), {"key": BARRIER}
            )

    async def take_turn(self, name: str) -> None:
        """Let one transaction at a time continue under this name, until its commit."""
        if not self.is_sqlite:
            digest = hashlib.sha256(name.encode()).digest()
            number = int.from_bytes(digest[:4], "big", signed=True)
            await self.execute(
                text("SELECT pg_advisory_xact_lock(:kind, :number)"),
                {"kind": TURNS, "number": number},
            )
