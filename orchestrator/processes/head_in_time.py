"""Closes connections whose request head is late: a slow head holds none open."""

import asyncio

from uvicorn.protocols.http import h11_impl

# The time a connection may take from its start, or from the first byte of a further
# request, until the request's head is complete. A body has a bound of its own.
HEAD_WITHIN_S = 10.0


class HeadInTime(h11_impl.H11Protocol):
    """uvicorn's protocol, which by itself waits for a request's head forever."""

    within_s = HEAD_WITHIN_S
    _ending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit for the first head."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take the data, and limit the time for the rest of a started head."""
        super().data_received(data)
        if self._has_no_head() and not self.transport.is_closing():
            self._wait()
        else:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limit."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._ending is None:
            self._ending = self.loop.call_later(self.within_s, self._end)

    def _stop(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def _end(self) -> None:
        self._ending = None
        if self._has_no_head():
            self.transport.close()

    def _has_no_head(self) -> bool:
        idle = h11_impl.h11.IDLE  # pyright: ignore[reportPrivateImportUsage] uvicorn's own protocol class
        return self.conn.their_state is idle
