"""What a service's answer to a write says, before a real server, by one table."""

import json
from typing import Any

import httpx2
import pytest

from keyturn.activities import outcome
from keyturn.activities.connectors import words
from keyturn.activities.connectors.http_service import (
    HttpReader,
    HttpWriter,
)
from keyturn.activities.connectors.smtp import SmtpMailer
from keyturn.activities.connectors.source import client
from keyturn.activities.http_client import LARGEST
from keyturn.activities.toolbox import Actor
from keyturn.orchestrator.rules.contract.connector import (
    Known,
    Mail,
    NotKnown,
    NotRead,
    NotSent,
)
from keyturn.orchestrator.rules.contract.tool import ConnectorNo, ToolError
from tests.activities.connectors.servers import CUT, answer, http_server

HUGE = 653247040368672768
REFUSED_TWICE = '{"error": {"message": "This was refunded already."}}'


def writer(
    url: str, customer: str = "C-1", bearer: str | None = None, **more: Any
) -> HttpWriter:
    actor = Actor(
        run="run-1", call="run-1:1.0", tenant="north", customer=customer, contact=None
    )
    return HttpWriter(more.get("client") or client(), url, actor, "run-1:1.0.0", bearer)


async def post(reply: bytes | str, **more: Any) -> tuple[Any, Known]:
    """What `post` gave or raised, and what is known after it."""
    async with http_server(reply) as heard, client() as shared:
        asked = writer(f"http://127.0.0.1:{heard.port}", client=shared, **more)
        try:
            found: Any = await asked.post("/act", {"a": 1})
        except (ToolError, NotSent, NotKnown) as error:
            found = error
    [deed] = asked.actor.deeds.all
    return found, deed.known


STATUSES: dict[int, tuple[type[Exception], Known]] = {
    300: (NotKnown, Known.NOT_KNOWN),
    302: (NotKnown, Known.NOT_KNOWN),
    303: (NotKnown, Known.NOT_KNOWN),
    307: (ConnectorNo, Known.REFUSED),
    308: (ConnectorNo, Known.REFUSED),
    400: (ConnectorNo, Known.REFUSED),
    401: (NotSent, Known.NEEDS_REPAIR),
    403: (ConnectorNo, Known.REFUSED),
    404: (ConnectorNo, Known.REFUSED),
    407: (NotSent, Known.NEEDS_REPAIR),
    408: (NotKnown, Known.NOT_KNOWN),
    409: (ConnectorNo, Known.REFUSED),
    421: (NotSent, Known.NOT_SENT),
    422: (ConnectorNo, Known.REFUSED),
    425: (NotSent, Known.NOT_SENT),
    429: (NotSent, Known.NOT_SENT),
    500: (NotKnown, Known.NOT_KNOWN),
    502: (NotKnown, Known.NOT_KNOWN),
    503: (NotKnown, Known.NOT_KNOWN),
    504: (NotKnown, Known.NOT_KNOWN),
    599: (NotKnown, Known.NOT_KNOWN),
    700: (NotKnown, Known.NOT_KNOWN),
}


@pytest.mark.parametrize("status", STATUSES)
async def test_p02_every_status_says_one_of_three_facts(status: int) -> None:
    found, known = await post(answer(status, REFUSED_TWICE))

    assert (type(found), known) == STATUSES[status]
    assert "This was refunded already." in str(found)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"HTTP/1.1 204 So\r\nConnection: close\r\n\r\n", id="204"),
        pytest.param(answer(201), id="201 empty"),
        pytest.param(answer(200, kind="text/plain"), id="200 empty"),
        pytest.param(answer(201, "Created", "text/plain"), id="201 text"),
        pytest.param(answer(200, "<html>", "text/html"), id="200 page"),
        pytest.param(answer(200, '{"id": '), id="200 half a document"),
        pytest.param(answer(200, '{"a": 1, "a": 2}'), id="200 a key twice"),
        pytest.param(answer(200, "{}").replace(b"Length: 2", b"Length: 9"), id="cut"),
        pytest.param(
            answer(200, "{}").replace(b"Connection", b"Content-Encoding: gzip\r\nX"),
            id="no gzip",
        ),
    ],
)
async def test_p02_success_without_a_document_acted(reply: bytes) -> None:
    assert await post(reply) == (None, Known.ACTED)


async def test_p02_informational_answer_before_the_real_one_says_nothing() -> None:
    found, known = await post(b"HTTP/1.1 103 Hint\r\n\r\n" + answer(201, '{"id": "r"}'))

    assert (found, known) == ({"id": "r"}, Known.ACTED)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (f'{{"id": {HUGE}, "status": "done"}}', {"id": str(HUGE), "status": "done"}),
        (f'{{"id": -{HUGE}}}', {"id": f"-{HUGE}"}),
        ('{"ids": [18446744073709551615, 7]}', {"ids": ["18446744073709551615", 7]}),
        ('{"id": 9007199254740991}', {"id": 2**53 - 1}),
        ('{"share": NaN, "half": "\\ud83d"}', {"share": None, "half": "\ufffd"}),
        ("null", None),
    ],
    ids=["64 bits", "negative", "unsigned", "largest exact", "no numbers", "null"],
)
async def test_p02_whole_numbers_are_read_digit_by_digit(body: str, value: Any) -> None:
    assert await post(answer(200, body)) == (value, Known.ACTED)


@pytest.mark.parametrize(
    "reply", [CUT, b"garbage\r\n\r\n", b"HTTP/1.1 200 So\r\nContent-"], ids=repr
)
async def test_p02_broken_answer_is_not_known(reply: bytes | str) -> None:
    found, known = await post(reply)

    assert (type(found), known) == (NotKnown, Known.NOT_KNOWN)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://127.0.0.1:1", id="connection refused"),
        pytest.param("http://nowhere.invalid", id="no such name"),
    ],
)
async def test_p02_unreached_service_was_not_sent_to(url: str) -> None:
    async with client() as shared:
        asked = writer(url, client=shared)
        with pytest.raises(NotSent, match="cannot be reached"):
            await asked.post("/act", {})

    assert asked.actor.deeds.all[0].known is Known.NOT_SENT


async def test_p02_failed_handshake_was_not_sent_to() -> None:
    async with http_server(b"no TLS here") as heard, client() as shared:
        asked = writer(f"https://127.0.0.1:{heard.port}", client=shared)
        with pytest.raises(NotSent):
            await asked.post("/act", {})

    assert (asked.actor.deeds.all[0].known, heard.all) == (Known.NOT_SENT, [])


async def test_p02_time_out_is_known_by_how_far_it_came() -> None:
    """Nobody picks up the telephone, or somebody does and says nothing."""
    short = httpx2.Timeout(0.3)
    async with (
        http_server("SILENCE") as heard,
        httpx2.AsyncClient(timeout=short) as shared,
    ):
        asked = writer(f"http://127.0.0.1:{heard.port}", client=shared)
        with pytest.raises(NotKnown):
            await asked.post("/act", {})

    assert asked.actor.deeds.all[0].known is Known.NOT_KNOWN


@pytest.mark.parametrize("path", ["/a\x00b", "/a\nb"])
async def test_p02_address_that_is_none_was_not_sent_to(path: str) -> None:
    async with client() as shared:
        asked = writer("http://127.0.0.1:1", client=shared)
        with pytest.raises(ToolError, match="Nothing was sent"):
            await asked.post(path, {})

    assert asked.actor.deeds.all[0].known is Known.REFUSED


@pytest.mark.parametrize("bearer", ["sk-1\n", "sk-ü", "sk\x00"])
async def test_p02_key_that_no_header_can_carry_is_told_without_it(bearer: str) -> None:
    found, known = await post(answer(200, "{}"), bearer=bearer)

    assert (type(found), known) == (NotSent, Known.NEEDS_REPAIR)
    assert "sk" not in f"{found} {found.alarm}"


@pytest.mark.parametrize(
    ("customer", "sent"),
    [
        ("C-1001", "C-1001"),
        ("Müller-1", "M%C3%BCller-1"),
        ("顧客7", "%E9%A1%A7%E5%AE%A27"),
        ("C-1\n", "C-1%0A"),
        (" C-1", "%20C-1"),
        ("ann@x.example/7;a=b", "ann@x.example/7;a=b"),
        ("100%", "100%25"),
        ("C%2D1", "C%252D1"),
    ],
)
async def test_p14_customer_ids_of_any_text_travel(customer: str, sent: str) -> None:
    async with http_server(answer(200, "{}")) as heard, client() as shared:
        asked = writer(f"http://127.0.0.1:{heard.port}", customer, client=shared)
        await asked.post("/act", {})
        await HttpReader(shared, asked.base_url, asked.actor).get("/read")

    for head in heard.all:
        assert f"\r\nKeyturn-Customer: {sent}\r\n" in head


async def test_read_that_breaks_off_says_nothing_of_a_write() -> None:
    async with http_server(answer(500), CUT) as heard, client() as shared:
        asked = writer(f"http://127.0.0.1:{heard.port}", client=shared)
        for _ in range(2):
            with pytest.raises(NotRead):
                await asked.get("/read")

    assert asked.actor.deeds.all == []


async def test_p02_a_read_that_is_refused_after_a_write_does_not_say_it_failed() -> (
    None
):
    paid, gone = answer(200, '{"id": "r1"}'), answer(404, '{"error": "no such page"}')
    async with http_server(paid, gone) as heard, client() as shared:
        asked = writer(f"http://127.0.0.1:{heard.port}", client=shared)
        await asked.post("/refunds", {})
        with pytest.raises(ToolError) as refused:
            await asked.get("/refunds/r1")

    found = outcome.of_error(asked.actor.deeds, refused.value)

    assert (found.kind, "no such page" in found.words) == ("unknown", True)


@pytest.mark.parametrize("value", [float("nan"), HUGE, object()])
async def test_p02_a_document_that_cannot_be_written_was_not_sent(value: Any) -> None:
    asked = writer("http://127.0.0.1:1")

    with pytest.raises(ToolError, match="cannot be sent") as refused:
        await asked.post("/refunds", {"a": value})

    assert outcome.of_error(asked.actor.deeds, refused.value).kind == "failed"


async def test_p02_a_mail_to_nobody_after_a_write_does_not_say_it_failed() -> None:
    async with http_server(answer(200, '{"id": "r1"}')) as heard, client() as shared:
        asked = writer(f"http://127.0.0.1:{heard.port}", client=shared)
        await asked.post("/refunds", {})
    mailer = SmtpMailer("smtp://127.0.0.1:1", "us@shop.example", asked.actor, "k")
    with pytest.raises(ToolError) as nobody:
        await mailer.send(Mail(subject="Refund", body="We refunded you."))

    assert outcome.of_error(asked.actor.deeds, nobody.value).kind == "unknown"


async def test_read_takes_64_bit_ids() -> None:
    async with (
        http_server(answer(200, f'{{"id": {HUGE}}}')) as heard,
        client() as shared,
    ):
        asked = writer(f"http://127.0.0.1:{heard.port}", client=shared)

        assert await asked.get("/read") == {"id": str(HUGE)}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "Too late."}, "Too late."),
        ({"error": {"message": "Too late.", "code": 7}}, "Too late."),
        ({"error": {"description": "Too late."}}, "Too late."),
        ({"message": "Too late."}, "Too late."),
        ({"errors": [{"message": "Too late."}]}, "Too late."),
        ({"errors": [{"title": "Late", "detail": "Too late."}]}, "Late: Too late."),
        ({"errors": [{"title": "Too late."}]}, "Too late."),
        ({"errors": ["Too late.", "Too much."]}, "Too late.; Too much."),
        ({"errors": {"base": ["Too late."]}}, "Too late."),
        ({"errors": {"base": ["Late."], "amount": ["is 0"]}}, "Late.; amount: is 0"),
        ({"errors": "Too late."}, "Too late."),
        ({"description": "Too late."}, "Too late."),
        ({"type": "about:blank", "title": "No", "detail": "Late."}, "No: Late."),
        ({"error": "gone", "error_description": "Too late."}, "gone: Too late."),
        (
            {"status": 400, "error": "Bad Request", "message": "Late"},
            "Bad Request: Late",
        ),
        ({"detail": [{"loc": ["body"], "msg": "Too late."}]}, "Too late."),
        ("Too late.", "Too late."),
        ({"error": {"message": "a\nb\x00c\u202e"}}, "a b c"),
        ({"error": None, "code": 7}, None),
        ({"error": {}}, None),
        ([], None),
        (None, None),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_words_of_a_no_are_found_in_the_common_shapes(
    body: Any, said: str | None
) -> None:
    assert words.said(body) == said


def test_words_of_a_no_are_bounded() -> None:
    deep: Any = {"message": "x"}
    for _ in range(60):
        deep = {"error": deep}

    assert words.said(deep) is None
    assert len(words.said({"error": "no " * 9_000}) or "") == words.LONGEST
    many: Any = {"errors": ["no"] * 9_000}
    assert len(words.said(many) or "") < 60


async def test_words_of_a_no_in_plain_text_are_told() -> None:
    found, _ = await post(answer(422, "Refunded already", "text/plain"))
    page, _ = await post(answer(422, "<h1>No</h1>", "text/html"))

    assert str(found) == "Refunded already"
    assert str(page) == "127.0.0.1 answered 422"


async def test_a_read_that_is_too_large_is_told_in_words() -> None:
    body = '"' + "x" * LARGEST + '"'
    async with http_server(answer(200, body)) as heard, client() as shared:
        asked = writer(f"http://127.0.0.1:{heard.port}", client=shared)
        with pytest.raises(ToolError, match="sent more than 16 MiB; ask it for less"):
            await asked.get("/orders")
