"""The demo shop and its payments service, over HTTP.

`python -m keyturn.orchestrator.cli.demo.shop --port N --data-dir D [--faults]` prints one JSON
line with its address when it is ready. Where SHOP_WRITE_TOKEN is set, writes need it as a
bearer token; the statement needs it, or SHOP_STATEMENT_TOKEN, which opens nothing else.
"""

import argparse
import hmac
import json
import logging
import os
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from keyturn.orchestrator.cli.demo.books import Answer, Books
from keyturn.orchestrator.cli.demo.counter import (
    AddressWanted,
    Counter,
    NoteWanted,
    RefundWanted,
)
from keyturn.orchestrator.cli.demo.faults import Faults, Faulty, is_no_cut
from keyturn.orchestrator.rules.text import canonical

TOKEN = "SHOP_WRITE_TOKEN"  # noqa: S105 the name of a variable, not a secret
STATEMENT_TOKEN = "SHOP_STATEMENT_TOKEN"  # noqa: S105 as above
LINES_A_PAGE = 100


def build(
    books: Books,
    *,
    write_token: str | None = None,
    statement_token: str | None = None,
    url: str | None = None,
) -> FastAPI:
    """Return the shop; with an address, it prints it when it is ready."""

    @asynccontextmanager
    async def announce(_: FastAPI) -> AsyncGenerator[None]:
        if url is not None:
            sys.stdout.write(json.dumps({"url": url}) + "\n")
            sys.stdout.flush()
        yield

    app = FastAPI(title="Keyturn's demo shop", lifespan=announce)
    app.state.books, app.state.write_token = books, write_token
    app.state.statement_token = statement_token
    app.add_exception_handler(RequestValidationError, _answer_bad_request)
    app.add_exception_handler(HTTPException, _answer_refusal)
    for path, endpoint in READS.items():
        app.add_api_route(path, endpoint, methods=["GET"])
    for path, endpoint in WRITES.items():
        app.add_api_route(path, endpoint, methods=["POST"])
    return app


class Asker:
    """The tenant and customer of a request, from its headers."""

    def __init__(
        self,
        request: Request,
        keyturn_customer: Annotated[str, Header(min_length=1)],
        keyturn_tenant: Annotated[str, Header(min_length=1)],
    ) -> None:
        self.books: Books = request.app.state.books
        self.path = request.url.path
        # The headers are percent-encoded: an id may be any text.
        self.customer = unquote(keyturn_customer)
        self.tenant = unquote(keyturn_tenant)

    def look(self, read: Callable[[Counter], Answer]) -> JSONResponse:
        """Answer a read."""
        with self.books.open(self.tenant) as shop:
            return _respond(read(Counter(shop, self.customer)))

    def write_once(
        self, key: str, body: BaseModel, act: Callable[[Counter], Answer]
    ) -> JSONResponse:
        """Answer a write, done once for the key."""
        asked = canonical.digest([self.customer, self.path, body.model_dump()])
        with self.books.open(self.tenant) as shop:
            counter = Counter(shop, self.customer)
            return _respond(shop.once(key, asked, lambda: act(counter)))


def _may_write(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    token: str | None = request.app.state.write_token
    if token is not None and not _is(authorization, token):
        raise HTTPException(401, "Writing needs the shop's write token.")


def _may_read_statement(
    request: Request, authorization: Annotated[str, Header()] = ""
) -> None:
    state = request.app.state
    tokens: list[str | None] = [state.write_token, state.statement_token]
    known = [one for one in tokens if one is not None]
    if known and not any(_is(authorization, one) for one in known):
        raise HTTPException(401, "The statement needs the shop's statement token.")


def _is(authorization: str, token: str) -> bool:
    given = authorization.removeprefix("Bearer ").encode()
    return hmac.compare_digest(given, token.encode())


Served = Annotated[Asker, Depends()]
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=300)]
MayWrite = Annotated[None, Depends(_may_write)]
MayReadStatement = Annotated[None, Depends(_may_read_statement)]
Since = Annotated[datetime, Query()]
Cursor = Annotated[int, Query(ge=0, le=10**15)]


def show_customer(asker: Served, customer: str) -> JSONResponse:
    """Answer with the signed-in customer."""
    return asker.look(lambda counter: counter.show_customer(customer))


def show_orders(asker: Served) -> JSONResponse:
    """Answer with the signed-in customer's orders."""
    return asker.look(lambda counter: counter.show_orders())


def show_order(asker: Served, order: str) -> JSONResponse:
    """Answer with one of the signed-in customer's orders."""
    return asker.look(lambda counter: counter.show_order(order))


def search_help(asker: Served, query: str) -> JSONResponse:
    """Answer with help pages."""
    return asker.look(lambda counter: counter.search_help(query))


def show_refund(asker: Served, key: str) -> JSONResponse:
    """Answer with the refund of a key; 200 and null where there is none.

    A 404 could come from anything in between, and must not mean "never happened".
    """
    return asker.look(lambda counter: _refund_of(counter, key))


def refund(asker: Served, key: Key, body: RefundWanted, _: MayWrite) -> JSONResponse:
    """Pay money back."""
    return asker.write_once(key, body, lambda counter: counter.refund(key, body))


def close_refund(asker: Served, key: str, _: MayWrite) -> JSONResponse:
    """Answer with the refund of a key, or make sure that there never is one."""

    def close(counter: Counter) -> Answer:
        found = _refund_of(counter, key)
        if found.body == {"refund": None}:
            counter.shop.close_key(key)
        return found

    return asker.look(close)


def note(
    asker: Served, order: str, key: Key, body: NoteWanted, _: MayWrite
) -> JSONResponse:
    """Add a note to an order."""
    return asker.write_once(key, body, lambda counter: counter.note(order, body))


def move(
    asker: Served, order: str, key: Key, body: AddressWanted, _: MayWrite
) -> JSONResponse:
    """Change where an order goes."""
    return asker.write_once(key, body, lambda counter: counter.move(order, body))


def statement(
    request: Request, _: MayReadStatement, since: Since, cursor: Cursor = 0
) -> JSONResponse:
    """Answer with what changed since then, a page at a time, as a provider does."""
    books: Books = request.app.state.books
    begin = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.")
    begin += f"{since.microsecond // 1000:03d}Z"
    page = books.statement(since=begin, after=cursor, most=LINES_A_PAGE)
    following = None if page.last is None else str(page.last)
    return JSONResponse({"lines": page.lines, "next": following})


class Reversal(BaseModel):
    """How a refund that was paid failed later."""

    status: Literal["failed", "reversed"] = "reversed"
    words: str = Field(default="The bank sent it back.", max_length=300)


def reverse(request: Request, tenant: str, key: str, body: Reversal) -> JSONResponse:
    """Play the bank that sends a refund back; only where faults may be played."""
    books: Books = request.app.state.books
    known = books.reverse(tenant, key, status=body.status, words=body.words)
    return JSONResponse({"reversed": known}, 200 if known else 404)


def healthy() -> JSONResponse:
    """Say that the shop is open."""
    return JSONResponse({"status": "ok"})


READS: dict[str, Callable[..., JSONResponse]] = {
    "/customers/{customer}": show_customer,
    "/orders": show_orders,
    "/orders/{order}": show_order,
    "/help": search_help,
    "/refunds/{key}": show_refund,
    "/statement": statement,
    "/healthz": healthy,
}
WRITES: dict[str, Callable[..., JSONResponse]] = {
    "/refunds": refund,
    "/refunds/{key}/close": close_refund,
    "/orders/{order}/notes": note,
    "/orders/{order}/address": move,
}


def _refund_of(counter: Counter, key: str) -> Answer:
    found = counter.shop.refund(key)
    own = found is not None and found["customer_id"] == counter.customer
    if found is not None and not own:
        return Answer(403, {"error": "This refund is another customer's."})
    return Answer(200, {"refund": found})


def _respond(answer: Answer) -> JSONResponse:
    return JSONResponse(answer.body, answer.status)


async def _answer_bad_request(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    places = ", ".join(".".join(map(str, one["loc"])) for one in error.errors())
    return JSONResponse({"error": f"Not understood: {places}"}, 400)


async def _answer_refusal(_: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = error.detail if isinstance(error, HTTPException) else "broken"
    return JSONResponse({"error": words}, status)


def main() -> None:
    """Run the shop that the command line describes, until it is stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m keyturn.orchestrator.cli.demo.shop"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument(
        "--faults", action="store_true", help="play the faults set by PUT /faults"
    )
    given = parser.parse_args()
    given.data_dir.mkdir(parents=True, exist_ok=True)
    listening = _listen(given.host, given.port)
    url = f"http://{given.host}:{listening.getsockname()[1]}"
    books = Books(given.data_dir / "shop.db")
    shop = build(
        books,
        write_token=os.environ.get(TOKEN) or None,
        statement_token=os.environ.get(STATEMENT_TOKEN) or None,
        url=url,
    )
    _serve(_with_faults(shop) if given.faults else shop, listening)
    books.close()


def _with_faults(shop: FastAPI) -> Faulty:
    faults = Faults()
    shop.add_api_route("/reversals/{tenant}/{key}", reverse, methods=["PUT"])
    shop.add_route("/faults", faults.set, methods=["PUT"])
    shop.add_route("/faults", faults.clear, methods=["DELETE"])
    return Faulty(shop, faults)


def _serve(app: FastAPI | Faulty, listening: socket.socket) -> None:
    logging.getLogger("uvicorn.error").addFilter(is_no_cut)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="error",
        timeout_keep_alive=600,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    # With the protocol named, asyncio sets TCP_NODELAY on accepted connections;
    # without, every answer waits 40 ms for a delayed acknowledgement.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(512)
    return listening


if __name__ == "__main__":
    main()
