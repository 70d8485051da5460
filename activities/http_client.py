"""Clients for external HTTP services: they store nothing, and read within bounds.

A process shares one client among the calls of all its customers. So it has no cookies:
a service's cookie for one customer would be sent with the next one's call. And answers
have a maximum number of bytes, counted as received and as unpacked: the library unpacks
without a bound, and 1.3 MB of gzip can become 300 MB.
"""

import zlib
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Mapping,
)
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, cast

import httpx2

# The limit for an answer whose reader sets no other one.
LARGEST: Final = 16 * 1024 * 1024
_AS_IT_IS = "identity"
_PACKED = ("gzip", "x-gzip", "deflate")
# zlib's value for "detect by the header": gzip or zlib.
_EITHER_HEAD = 47
# The first bytes of each member of a gzip (RFC 1952, 2.3.1).
_GZIP = b"\x1f\x8b"

Hook = Callable[[Any], Awaitable[None]]


class TooLarge(httpx2.ReadError):
    """An answer has more bytes than its reader accepts.

    It is one of the library's own error classes, so that every caller treats it as a
    failed exchange.
    """


def client(*, largest: int = LARGEST, **options: Any) -> httpx2.AsyncClient:  # noqa: ANN401 passed on to the library unchanged
    """Return a client that keeps no cookie and reads at most `largest` bytes an answer.

    A longer body raises `TooLarge` when it is read.
    """
    return httpx2.AsyncClient(**bounds(largest=largest), **options)


def bounds(*, largest: int = LARGEST) -> dict[str, Any]:
    """Return the options that give any client these bounds."""
    return {"cookies": no_cookies(), "event_hooks": _hooks(largest)}


def no_cookies() -> CookieJar:
    """Return a jar that accepts no cookie and returns none."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


def _hooks(largest: int) -> Mapping[str, list[Hook]]:
    async def ask_plainly(request: httpx2.Request) -> None:
        request.headers["Accept-Encoding"] = _AS_IT_IS

    async def bound(response: httpx2.Response) -> None:
        coding = response.headers.pop("content-encoding", _AS_IT_IS)
        stream = cast("httpx2.AsyncByteStream", response.stream)
        every = (one.strip().lower() for one in coding.split(","))
        packed = ", ".join(one for one in every if one not in ("", _AS_IT_IS))
        response.stream = _Bounded(stream, largest, packed)

    return {"request": [ask_plainly], "response": [bound]}


class _Bounded(httpx2.AsyncByteStream):
    """A body with a maximum size, unpacked if it was compressed without request."""

    def __init__(
        self, inner: httpx2.AsyncByteStream, largest: int, coding: str
    ) -> None:
        self._inner, self._largest, self._coding = inner, largest, coding

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        came = given = 0
        unpack = _Unpacking(self._coding)
        async for part in self._inner:
            came += len(part)
            for plain in unpack(part, at_once=self._largest - given + 1):
                given += len(plain)
                if max(came, given) > self._largest:
                    raise TooLarge(f"it has more than {self._largest} bytes")
                yield plain
        unpack.end()

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Unpacking:
    """Unpacks bodies that some servers and proxies compress even if not asked to."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        is_packed = coding in _PACKED
        self._unpack: Any = zlib.decompressobj(_EITHER_HEAD) if is_packed else None
        self._is_known = is_packed or not coding
        self._has_begun = self._has_member = self._is_over = False

    def __call__(self, part: bytes, *, at_once: int) -> Generator[bytes]:
        """Yield the unpacked bytes, at most `at_once` bytes at a time."""
        if not self._is_known:
            raise httpx2.ReadError(
                f"it is packed as {self._coding[:40]!r}, which was not asked for"
            )
        if self._unpack is None:
            yield part
            return
        if self._has_member and not self._has_begun:
            part = self._next_member(part)
        try:
            while part and not self._is_over:
                yield self._some(part, at_once)
                part = self._unpack.unconsumed_tail
                if self._unpack.eof:
                    part = self._next_member(self._unpack.unused_data)
        except zlib.error as error:
            raise httpx2.ReadError(f"it cannot be unpacked: {error}") from None

    def end(self) -> None:
        """Raise `httpx2.ReadError` where a started stream is incomplete."""
        if self._unpack is not None and self._has_begun and not self._is_over:
            raise httpx2.ReadError("it breaks off before it is unpacked")

    def _some(self, part: bytes, at_once: int) -> bytes:
        has_begun, self._has_begun = self._has_begun, True
        try:
            return self._unpack.decompress(part, at_once)
        except zlib.error:
            if has_begun or self._coding != "deflate":
                raise
            # Many servers omit zlib's header, which RFC 9110 requires.
            self._unpack = zlib.decompressobj(-zlib.MAX_WBITS)
            return self._unpack.decompress(part, at_once)

    def _next_member(self, rest: bytes) -> bytes:
        """Begin the next member after a complete one; skips anything else (padding)."""
        self._has_begun = False
        self._is_over = self._is_over or not _GZIP.startswith(rest[: len(_GZIP)])
        self._unpack = zlib.decompressobj(_EITHER_HEAD)
        self._has_member = True
        return rest
