"""Failures of a provider, each as an error that carries the facts for a retry."""

import asyncio
import gzip
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from keyturn.activities.llm.errors import (
    MalformedReply,
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
    RateLimited,
)
from keyturn.activities.llm.provider import Provider
from keyturn.activities.llm.route import build_providers, close_providers
from keyturn.activities.llm.simulator import (
    SimRequest,
    SimStep,
    cut,
    error,
    raw,
    say,
    slow,
)
from keyturn.activities.llm.wire.transport import LARGEST_REPLY
from tests.activities.llm.questions import SECRET, Desk, request

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def test_429_says_when_to_come_back(desk: Desk, provider: str):
    with pytest.raises(RateLimited) as caught:
        await desk.ask(provider, error(429, retry_after_s=7))

    assert caught.value.retry_after_s == 7
    assert not caught.value.sent


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"retry-after-ms": "1500"}, 1.5, 1.5),
        ({"retry-after": "0.5"}, 0.5, 0.5),
        ({"retry-after": "Mon, 01 Jan 2001 00:00:00 GMT"}, 0, 0),
    ],
    ids=["milliseconds", "fraction", "past date"],
)
async def test_retry_after_is_read_in_each_form(
    desk: Desk, provider: str, headers: dict[str, str], least: float, most: float
):
    with pytest.raises(RateLimited) as caught:
        await desk.ask(provider, raw("{}", status=429, headers=headers))

    assert caught.value.retry_after_s is not None
    assert least <= caught.value.retry_after_s <= most


async def test_retry_after_is_read_as_a_date(desk: Desk, provider: str):
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1))

    with pytest.raises(RateLimited) as caught:
        await desk.ask(
            provider, raw("{}", status=429, headers={"retry-after": in_an_hour})
        )

    assert caught.value.retry_after_s is not None
    assert 3000 <= caught.value.retry_after_s <= 3600


@pytest.mark.parametrize("value", ["soon", "nan", "inf", ""])
async def test_senseless_retry_after_is_none(desk: Desk, provider: str, value: str):
    with pytest.raises(RateLimited) as caught:
        await desk.ask(provider, raw("{}", status=429, headers={"retry-after": value}))

    assert caught.value.retry_after_s is None


async def test_empty_account_is_not_worth_waiting_for(desk: Desk):
    with pytest.raises(ProviderRejected) as caught:
        await desk.ask("openai", error(429, code="insufficient_quota"))

    assert caught.value.status == 429


@pytest.mark.parametrize(
    ("status", "sent"),
    [(500, True), (502, True), (504, True), (503, False), (529, False)],
)
async def test_5xx_is_charged_unless_nobody_took_it(
    desk: Desk, provider: str, status: int, *, sent: bool
):
    with pytest.raises(ProviderUnavailable) as caught:
        await desk.ask(provider, error(status, retry_after_s=2))

    assert caught.value.status == status
    assert caught.value.sent is sent
    assert caught.value.retry_after_s == 2


async def test_failures_are_not_retried_here(desk: Desk, provider: str):
    with pytest.raises(ProviderUnavailable):
        await desk.ask(provider, error(500))

    assert len(desk.seen) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_4xx_is_rejected_with_the_providers_words(
    desk: Desk, provider: str, status: int
):
    with pytest.raises(ProviderRejected) as caught:
        await desk.ask(provider, error(status, message="No such model: gpt-9."))

    assert caught.value.status == status
    assert caught.value.words == "No such model: gpt-9."
    assert not caught.value.sent


async def test_key_never_stands_in_a_message(desk: Desk, provider: str):
    quoted = f"Incorrect API key provided: {SECRET}, sk-proj-abcdef***xyz"

    with pytest.raises(ProviderRejected) as caught:
        await desk.ask(provider, error(401, message=quoted))

    assert SECRET not in str(caught.value)
    assert "sk-proj" not in str(caught.value)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
async def test_connection_cut_in_mid_body_may_be_billed(
    desk: Desk, provider: str, share: float
):
    with pytest.raises(ProviderUnavailable) as caught:
        await desk.ask(provider, cut(share=share))

    assert caught.value.sent


async def test_slow_answer_times_out_and_may_be_billed(desk: Desk, provider: str):
    before = time.monotonic()

    with pytest.raises(ProviderUnavailable) as caught:
        await desk.ask(provider, slow(30, say("late")), timeout_s=0.2)

    assert time.monotonic() - before < 5
    assert caught.value.sent


async def test_slow_answer_within_time_arrives(desk: Desk, provider: str):
    reply = await desk.ask(provider, slow(0.05, say("in time")))

    assert reply.text == "in time"


async def test_dripping_answer_times_out_as_a_whole(provider: str):
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        await reader.read(1)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with server(drip) as url, providers_at(url) as providers:
        with pytest.raises(ProviderUnavailable, match="no answer within") as caught:
            await providers[provider].reply(request(), timeout_s=0.3)

    assert caught.value.sent


async def test_connection_closed_before_an_answer_may_be_billed(provider: str):
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        await reader.read(1)
        writer.close()

    async with server(close) as url, providers_at(url) as providers:
        with pytest.raises(ProviderUnavailable) as caught:
            await providers[provider].reply(request(), timeout_s=5)

    assert caught.value.sent


async def test_refused_connection_was_not_sent(provider: str):
    async with server(_nothing) as url:
        pass

    async with providers_at(url) as providers:
        with pytest.raises(ProviderUnavailable) as caught:
            await providers[provider].reply(request(), timeout_s=5)

    assert not caught.value.sent


@pytest.mark.parametrize(
    "body",
    ["", "<html>Bad gateway</html>", "[]", "null", '{"a":', b"\xff\xfe", "[" * 100_000],
    ids=["empty", "html", "array", "null", "broken", "not utf-8", "deep"],
)
async def test_body_that_is_no_json_object_is_malformed(
    desk: Desk, provider: str, body: bytes | str
):
    with pytest.raises(MalformedReply) as caught:
        await desk.ask(provider, raw(body))

    assert caught.value.sent


@pytest.mark.parametrize(
    ("status", "expected"),
    [(429, RateLimited), (502, ProviderUnavailable), (404, ProviderRejected)],
)
async def test_error_wrapped_in_a_200_counts_as_its_code(
    desk: Desk, status: int, expected: type[ProviderError]
):
    body = f'{{"error": {{"code": {status}, "message": "upstream"}}}}'

    with pytest.raises(expected, match="upstream"):
        await desk.ask("openai", raw(body))


async def test_prompt_stopped_by_a_filter_is_a_reply(desk: Desk):
    reply = await desk.ask("openai", error(400, code="content_filter"))

    assert reply.stop == "filter"


async def test_call_that_the_host_found_malformed_may_be_asked_again(desk: Desk):
    with pytest.raises(MalformedReply, match="did not match schema"):
        await desk.ask(
            "openai",
            error(400, code="tool_use_failed", message="It did not match schema"),
        )


async def test_host_without_structured_output_is_told_the_schema_in_words(
    desk: Desk, provider: str
):
    asked = request(output_schema={"type": "object", "title": "Told in words"})

    def picky(seen: SimRequest):
        if seen.output_schema is not None:
            return error(400, message="Unsupported: json_schema")
        return say("{}") if "Told in words" in seen.system else error(400)

    first = await desk.send(provider, picky, asked)
    tries = len(desk.seen)
    await desk.send(provider, picky, asked)

    assert first.text == "{}"
    assert tries == 2
    assert len(desk.seen) == 1, "the form that works was not remembered"


async def test_host_that_knows_the_limits_long_name_only_gets_it(desk: Desk):
    def picky(seen: SimRequest):
        if "max_tokens" in seen.body:
            return error(400, message="Unsupported parameter: 'max_tokens'")
        return say(str(seen.body["max_completion_tokens"]))

    asked = request(model="o-picky")
    first = await desk.send("openai", picky, asked)
    await desk.send("openai", picky, asked)

    assert first.text == "100"
    assert len(desk.seen) == 1, "the name that works was not remembered"


@asynccontextmanager
async def server(handler: Handler) -> AsyncGenerator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    started = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = started.sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    started.close()


@asynccontextmanager
async def providers_at(url: str) -> AsyncGenerator[dict[str, Provider]]:
    built = build_providers(openai_base_url=f"{url}/v1", anthropic_base_url=url)
    yield built
    await close_providers(built)


async def _nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader, writer


HUGE = b" " * (LARGEST_REPLY + 1)
TOO_LARGE = {
    "a reply": raw(HUGE),
    "an error": raw(HUGE, status=500),
    "a reply that unpacks to it": raw(
        gzip.compress(HUGE), headers={"content-encoding": "gzip"}
    ),
}


@pytest.mark.parametrize("step", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_an_answer_that_is_too_large_is_a_failure_of_its_provider(
    desk: Desk, provider: str, step: SimStep
):
    with pytest.raises(MalformedReply, match="larger than 8 MiB") as caught:
        await desk.ask(provider, step)

    assert caught.value.sent
