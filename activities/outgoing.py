"""Clients of other people's HTTP services: they keep nothing, and read within bounds.

A process shares one client among the calls of all its customers. So it has no cookies: a
service's cookie for one customer would go out with the next one's call. And an answer has
at most so many bytes, counted as they come and as they are unpacked: the library unpacks
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

# So much of an answer is read where its reader names no other bound.
LARGEST: Final = 16 * 1024 * 1024
_AS_IT_IS = "identity"
_PACKED = ("gzip", "x-gzip", "deflate")
# zlib's word for "find out by its head": of gzip or of zlib.
_EITHER_HEAD = 47

Hook = Callable[[Any], Awaitable[None]]


class TooLarge(httpx2.ReadError):
    """An answer has more bytes than its reader takes.

    One of the library's own kind, so that whoever rides on it takes it for a failed
    exchange.
    """


def client(*, largest: int = LARGEST, **options: Any) -> httpx2.AsyncClient:  # noqa: ANN401 the library's own options
    """Return a client that keeps no cookie and reads at most `largest` bytes an answer.

    A longer body raises `TooLarge` when it is read.
    """
    return httpx2.AsyncClient(**bounds(largest=largest), **options)


def bounds(*, largest: int = LARGEST) -> dict[str, Any]:
    """Return the options that make a client of any kind one of ours."""
    return {"cookies": no_cookies(), "event_hooks": _hooks(largest)}


def no_cookies() -> CookieJar:
    """Return a jar that takes no cookie and gives none."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


def _hooks(largest: int) -> Mapping[str, list[Hook]]:
    async def ask_plainly(request: httpx2.Request) -> None:
        request.headers["Accept-Encoding"] = _AS_IT_IS

    async def bound(response: httpx2.Response) -> None:
        coding = response.headers.pop("content-encoding", _AS_IT_IS)
        stream = cast("httpx2.AsyncByteStream", response.stream)
        response.stream = _Bounded(stream, largest, coding.strip().lower())

    return {"request": [ask_plainly], "response": [bound]}


class _Bounded(httpx2.AsyncByteStream):
    """A body of at most so many bytes, unpacked where it came packed unasked."""

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

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Unpacking:
    """Unpacks what some servers and proxies pack whatever they are asked for."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        is_packed = coding in _PACKED
        self._unpack = zlib.decompressobj(_EITHER_HEAD) if is_packed else None
        self._is_known = is_packed or coding in ("", _AS_IT_IS)

    def __call__(self, part: bytes, *, at_once: int) -> Generator[bytes]:
        """Yield what some bytes stand for, at most `at_once` bytes at a time."""
        if not self._is_known:
            raise httpx2.ReadError(
                f"it is packed as {self._coding[:40]!r}, which was not asked for"
            )
        if self._unpack is None:
            yield part
            return
        try:
            while part:
                yield self._unpack.decompress(part, at_once)
                part = self._unpack.unconsumed_tail
                if self._unpack.eof:
                    # Another member may follow, as RFC 1952 has it.
                    part = self._unpack.unused_data
                    self._unpack = zlib.decompressobj(_EITHER_HEAD)
        except zlib.error as error:
            raise httpx2.ReadError(f"it cannot be unpacked: {error}") from None
