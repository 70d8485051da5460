"""The statement and the mail log over HTTP: page by page, and nothing is guessed."""

import json
from datetime import UTC, datetime
from mailbox import Maildir, MaildirMessage
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keyturn.activities.connectors.books import HttpMailLog, HttpStatement
from keyturn.orchestrator.cli.demo import mailbox
from keyturn.orchestrator.cli.demo.books import Books
from keyturn.orchestrator.cli.demo.shop import LINES_A_PAGE, build
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.money.reconciliation import BooksAway, BooksUnusable
from tests.orchestrator.cli.demo.counter_calls import TOKEN, Asking, client, refund
from tests.orchestrator.cli.demo.test_shop_process import shop_process

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LINE = {
    "reference": "R-1",
    "key": "k1",
    "amount": 50_00,
    "currency": "USD",
    "status": "paid",
    "at": "2030-01-01T12:00:00Z",
}


def answering(*bodies: object, status: int = 200) -> httpx2.AsyncClient:
    """A client of a server that gives these answers, one after another."""
    left = [one if isinstance(one, str) else json.dumps(one) for one in bodies]

    async def answer(_: Request) -> Response:
        return Response(left.pop(0) if len(left) > 1 else left[0], status)

    app = Starlette(routes=[Route("/books", answer)])
    transport = httpx2.ASGITransport(app=app)
    return httpx2.AsyncClient(transport=transport, base_url="http://bank.test")


def page(*lines: dict[str, Any], following: str | None = None) -> dict[str, Any]:
    return {"lines": list(lines), "next": following}


async def test_statement_of_the_demo_shop_is_read_page_by_page() -> None:
    books = Books(None)
    count = LINES_A_PAGE + 3
    async with client(books) as shop:
        for number in range(count):
            await Asking(shop).post("/refunds", refund(amount=1), f"k{number}")
        statement = HttpStatement(shop, "http://shop.test/statement", TOKEN)

        lines = await statement.lines(LONG_AGO)

    assert {one.key for one in lines} == {f"k{number}" for number in range(count)}
    assert lines[0].money == Money(1, "USD")
    assert lines[0].tenant == "north"


async def test_statement_key_reads_and_cannot_write() -> None:
    app = build(Books(None), write_token=TOKEN, statement_token="reads")  # noqa: S106 a test's own
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://shop.test"
    ) as shop:
        read = await HttpStatement(shop, "/statement", "reads").lines(LONG_AGO)
        written = await Asking(shop, token="reads").post("/refunds", refund(), "k1")  # noqa: S106 a test's own

        with pytest.raises(BooksUnusable, match="refuses our key"):
            await HttpStatement(shop, "/statement", "guessed").lines(LONG_AGO)

    assert read == []
    assert written.status_code == 401


async def test_reversed_refund_is_a_changed_line_and_is_left_to_refund_again() -> None:
    books = Books(None)
    async with client(books) as shop:
        mira = Asking(shop)
        await mira.post("/refunds", refund(amount=10_00), "k1")
        changed = datetime.now(UTC)
        assert books.reverse("north", "k1", status="reversed", words="Account closed")
        assert not books.reverse("north", "k2", status="reversed", words="")

        [line] = await HttpStatement(shop, "/statement", TOKEN).lines(changed)
        order = (await mira.get("/orders/O-1001")).json()

    assert (line.status, line.words) == ("reversed", "Account closed")
    assert order["refunded"] == 0


@pytest.mark.parametrize("kind", ["cut", "before", "busy"])
async def test_statement_that_breaks_off_is_away(kind: str, tmp_path: Path) -> None:
    with shop_process(tmp_path) as (url, _):
        async with httpx2.AsyncClient(base_url=url) as shop:
            await Asking(shop).post("/refunds", refund(), "k1")
            statement = HttpStatement(shop, f"{url}/statement", TOKEN)
            fault = {"kind": kind, "path": "/statement", "method": "GET"}
            await shop.put("/faults", json=fault)

            with pytest.raises(BooksAway, match="/statement"):
                await statement.lines(LONG_AGO)
            again = await statement.lines(LONG_AGO)

    assert [one.key for one in again] == ["k1"]


async def test_page_for_people_is_no_statement(tmp_path: Path) -> None:
    with shop_process(tmp_path) as (url, _):
        async with httpx2.AsyncClient(base_url=url) as shop:
            fault = {"kind": "garbage", "path": "/statement", "method": "GET"}
            await shop.put("/faults", json=fault)

            with pytest.raises(BooksUnusable, match="no usable JSON"):
                await HttpStatement(shop, f"{url}/statement", TOKEN).lines(LONG_AGO)


async def test_nobody_there_is_away() -> None:
    async with httpx2.AsyncClient() as nobody:
        with pytest.raises(BooksAway):
            await HttpStatement(nobody, "http://127.0.0.1:9/books").lines(LONG_AGO)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param("[1", "no usable JSON", id="half"),
        pytest.param('{"lines": [], "lines": []}', "no usable JSON", id="twice"),
        pytest.param({}, "lines", id="no-lines"),
        pytest.param([], "a page", id="a-list"),
        pytest.param(page({**LINE, "amount": "5000"}), "amount", id="text"),
        pytest.param(page({**LINE, "amount": 50.5}), "amount", id="fraction"),
        pytest.param(page({**LINE, "amount": -1}), "amount", id="negative"),
        pytest.param(page({**LINE, "amount": True}), "amount", id="boolean"),
        pytest.param(page({**LINE, "currency": "usd"}), "currency", id="currency"),
        pytest.param(page({**LINE, "status": "ok"}), "status", id="status"),
        pytest.param(page({**LINE, "at": "2030-01-01T12:00"}), "at", id="no-zone"),
        pytest.param(page({**LINE, "key": "k\x001"}), "key", id="control-character"),
        pytest.param(page({**LINE, "key": ""}), "key", id="no-key"),
        pytest.param(page(following="1"), "as next twice", id="a-ring-of-pages"),
    ],
)
async def test_what_does_not_fit_is_refused_whole(body: object, words: str) -> None:
    async with answering(body) as bank:
        with pytest.raises(BooksUnusable, match=words):
            await HttpStatement(bank, "/books").lines(LONG_AGO)


async def test_later_page_that_does_not_fit_refuses_the_first() -> None:
    async with answering(page(LINE, following="1"), page({})) as bank:
        with pytest.raises(BooksUnusable, match="reference"):
            await HttpStatement(bank, "/books").lines(LONG_AGO)


@pytest.mark.parametrize("status", [301, 404, 204])
async def test_other_answers_are_no_books(status: int) -> None:
    async with answering(page(LINE), status=status) as bank:
        with pytest.raises(BooksUnusable, match=str(status)):
            await HttpStatement(bank, "/books").lines(LONG_AGO)


async def test_log_of_the_demo_mailbox_has_our_senders_mails_alone(
    tmp_path: Path,
) -> None:
    box = Maildir(tmp_path / "box")
    for number, sender in enumerate(["us@shop.example", "notices@shop.example"]):
        mail = MaildirMessage()
        mail["Message-ID"] = f"<m{number}@shop.example>"
        mail[mailbox.FROM] = sender
        box.add(mail)
    app = mailbox.build(mailbox.Box(tmp_path))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://mail.test"
    ) as http:
        log = HttpMailLog(http, "/log", "us@shop.example")

        found = await log.mails(LONG_AGO)
        later = await log.mails(datetime(2100, 1, 1, tzinfo=UTC))

    assert [one.message_id for one in found] == ["<m0@shop.example>"]
    assert later == []
