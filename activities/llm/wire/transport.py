"""One HTTP exchange with a provider; turns its failures into our errors."""

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, TypeVar

import httpx2
from pydantic import JsonValue

from keyturn.activities import http_client
from keyturn.activities.llm.errors import (
    MalformedReply,
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
    RateLimited,
)
from keyturn.activities.llm.wire.body import (
    as_count,
    as_list,
    as_object,
    as_text,
    error_words,
)
from keyturn.orchestrator.rules.text import canonical, scrub

if TYPE_CHECKING:
    import anthropic
    import openai

CONNECT_TIMEOUT_S: Final = 10.0
# Larger than the longest output of any model at six bytes a character.
LARGEST_REPLY: Final = 8 * 1024 * 1024
Result = TypeVar("Result")

# Where one of these was raised, the request cannot have reached the provider.
_UNSENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.UnsupportedProtocol,
    # A key that is not a valid header value is refused before anything is written.
    httpx2.LocalProtocolError,
    httpx2.ProxyError,
)
# 503 and Anthropic's 529 mean "not accepted"; any other 5xx may come from a gateway
# that had already forwarded the request.
_TAKEN_BY_NOBODY = {408, 409, 425, 503, 529}
_TRANSIENT = {408, 409, 425}
_SPENT = {"insufficient_quota", "billing_hard_limit_reached"}
_LONGEST_WORDS = 500


class Client(httpx2.AsyncClient):
    """The client that both SDKs use: it reads no more than `LARGEST_REPLY` bytes."""

    def __init__(self) -> None:
        """Match the SDKs' own clients, which set a timeout for each request."""
        super().__init__(
            follow_redirects=True,
            limits=httpx2.Limits(max_connections=1_000, max_keepalive_connections=100),
            **http_client.bounds(largest=LARGEST_REPLY),
        )


async def aside(response: httpx2.Response, read: Callable[[], Result]) -> Result:
    """Read an answer, without blocking the event loop on a long one."""
    if len(response.content) <= canonical.MOST_AT_ONCE:
        return read()
    return await asyncio.to_thread(read)


@asynccontextmanager
async def deadline(provider: str, timeout_s: float) -> AsyncGenerator[None]:
    """Limit everything inside to `timeout_s`, a slow body included."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise ProviderUnavailable(
            provider=provider, words=f"no answer within {timeout_s:g} s.", sent=True
        ) from None


@dataclass(frozen=True)
class Sdk:
    """A provider's SDK: its client, and the exceptions it raises.

    The adapter names it: if this module did, each SDK would be loaded for the other,
    which takes a second.
    """

    client: "openai.AsyncOpenAI | anthropic.AsyncAnthropic"
    bad_status: "type[openai.APIStatusError | anthropic.APIStatusError]"
    no_answer: "type[openai.APIConnectionError | anthropic.APIConnectionError]"


async def post(
    sdk: Sdk,
    path: str,
    body: Mapping[str, object],
    *,
    provider: str,
    timeout_s: float,
) -> httpx2.Response:
    """Return the provider's answer of any status.

    Uses the SDK's client (address, key, headers, connection pool) but bypasses its
    models in both directions: they would walk the whole transcript and guess at fields
    that a compatible host left out.
    """
    timeout = httpx2.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S))
    try:
        return await sdk.client.post(
            path, body=body, cast_to=httpx2.Response, options={"timeout": timeout}
        )
    except sdk.bad_status as error:
        return error.response
    except sdk.no_answer as error:
        cause = error.__cause__
        if isinstance(cause, http_client.TooLarge):
            words = f"it is larger than {LARGEST_REPLY // 1024**2} MiB."
            raise MalformedReply(provider=provider, why=words) from None
        raise ProviderUnavailable(
            provider=provider,
            words=f"{cause or error} ({type(cause or error).__name__}).",
            sent=not isinstance(cause, _UNSENT),
        ) from None
    except UnicodeError as error:
        # Raised while headers and body are built, before a connection is used.
        raise ProviderUnavailable(
            provider=provider,
            words=f"the request cannot be written ({type(error).__name__}): look for "
            "characters outside ASCII in the key.",
            sent=False,
        ) from None


def error_of(response: httpx2.Response, *, provider: str) -> ProviderError | None:
    """Return the error that an answer represents; None for a good one.

    Some gateways wrap an upstream's error in a 200: its code counts as the status.
    """
    error = _error_object(response)
    status = response.status_code
    if status < 400:
        code = _number(error.get("code")) or _number(error.get("status"))
        if not 400 <= code < 600:
            return None
        status = code
    words = _words(response, error)
    retry_after_s = _retry_after_s(response.headers)
    if error.get("code") == "tool_use_failed":
        # Groq's code for a call that the model wrote badly: a retry may help.
        return MalformedReply(provider=provider, why=words)
    if status == 429 and not _is_spent(error):
        return RateLimited(provider=provider, words=words, retry_after_s=retry_after_s)
    if status >= 500 or status in _TRANSIENT:
        return ProviderUnavailable(
            provider=provider,
            words=f"HTTP {status}: {words}",
            sent=status not in _TAKEN_BY_NOBODY,
            status=status,
            retry_after_s=retry_after_s,
        )
    return ProviderRejected(provider=provider, status=status, words=words)


def error_code(response: httpx2.Response) -> str:
    """Return the provider's code for an error, "" where it gives none."""
    return as_text(_error_object(response).get("code"))


def _error_object(response: httpx2.Response) -> dict[str, JsonValue]:
    # The error in the body of a good answer counts only if there is no reply.
    if response.status_code < 400 and b'"error"' not in response.content:
        return {}
    try:
        found: JsonValue = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    # Some gateways answer with a list of one error.
    body = as_object(found[0] if isinstance(found, list) and found else found)
    if response.status_code < 400 and _holds_answer(body):
        return {}
    error = body.get("error")
    return error if isinstance(error, dict) else body | {"message": error or None}


def _holds_answer(body: dict[str, JsonValue]) -> bool:
    # Choices may be null or empty beside an error.
    return bool(as_list(body.get("choices")) or as_list(body.get("content")))


def _number(code: JsonValue) -> int:
    if isinstance(code, str) and code.isascii() and code.isdigit():
        return as_count(int(code[:4])) or 0
    return as_count(code) or 0


def _is_spent(error: dict[str, JsonValue]) -> bool:
    """Return whether the account is out of money: waiting would not help."""
    return bool({as_text(error.get("code")), as_text(error.get("type"))} & _SPENT)


def _words(response: httpx2.Response, error: dict[str, JsonValue]) -> str:
    said = error_words(error).removeprefix("no message")
    said = said or response.content.decode(errors="replace").strip() or "no words"
    # Scrubbed before it is cut: half a key would not be recognized.
    said = scrub.text(said)[:_LONGEST_WORDS].rstrip()
    return said if said.endswith((".", "!", "?")) else f"{said}."


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    if (milliseconds := _seconds(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _seconds(value)
    return _seconds_until(value) if value and seconds is None else seconds


def _seconds_until(date: str) -> float | None:
    try:
        until = parsedate_to_datetime(date)
    except ValueError:
        return None
    if until.tzinfo is None:  # "-0000": UTC, with no word on the zone
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
