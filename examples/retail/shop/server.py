"""The shop over HTTP: an application that serves all tenants from one process."""

import json
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from examples.retail.shop import reads, writes
from examples.retail.shop.answers import refused
from examples.retail.shop.errors import ShopError
from examples.retail.shop.shops import Shops


def build(shops: Shops, url: str | None = None) -> FastAPI:
    """Give the application; with a URL, it says so on standard output when ready."""

    @asynccontextmanager
    async def announce(_: FastAPI) -> AsyncGenerator[None, None]:
        if url is not None:
            sys.stdout.write(json.dumps({"url": url}) + "\n")
            sys.stdout.flush()
        yield

    app = FastAPI(title="A retail shop", lifespan=announce)
    app.state.shops = shops
    app.include_router(reads.router)
    app.include_router(writes.router)
    app.add_api_route("/healthz", healthy)
    app.add_exception_handler(ShopError, answer_shop_error)
    app.add_exception_handler(RequestValidationError, answer_bad_request)
    return app


def run(shops: Shops, host: str, port: int) -> None:
    """Serve until the process is told to stop; port 0 takes a free one."""
    listener = listen(host, port)
    url = f"http://{host}:{listener.getsockname()[1]}"
    config = uvicorn.Config(build(shops, url), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """Give a socket that takes connections already; port 0 takes a free one."""
    # asyncio turns Nagle's delay (40 ms an answer) off only where TCP is named
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(512)
    return listener


async def healthy() -> dict[str, str]:
    """Say that the shop is open."""
    return {"status": "ok"}


async def answer_shop_error(_: Request, error: Exception) -> JSONResponse:
    """Give the answer for an error that came before a write was begun, or on a read."""
    if not isinstance(error, ShopError):
        raise error
    answer = refused(error)
    return JSONResponse(answer.body, status_code=answer.status)


async def answer_bad_request(_: Request, error: Exception) -> JSONResponse:
    """Give the places in the request that are not as they must be."""
    if not isinstance(error, RequestValidationError):
        raise error
    places = (".".join(map(str, each["loc"])) for each in error.errors())
    text = "Not understood: " + ", ".join(places)
    return JSONResponse({"error": text}, status_code=400)
