"""The pages on a real server, and browsers at the door."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.async_api import Browser, BrowserContext, Page

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import sessions
from tests.approvals.pages.conftest import app, planted, seed, store
from tests.approvals.pages.seed import Seed

__all__ = ["app", "planted", "seed", "store"]

TIMEOUT_MS = 15_000

SignIn = Callable[..., Awaitable[Page]]


@pytest.fixture
async def address(app: FastAPI) -> AsyncIterator[str]:
    """Where the pages are served."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1)
    )
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:  # noqa: ASYNC110 uvicorn has no event for it
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await task


@pytest.fixture
async def sign_in(
    address: str, browser: Browser, store: Store, seed: Seed
) -> AsyncIterator[SignIn]:
    """Opens the inbox as somebody who is signed in, each in a profile of their own."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    async def enter(who: str, **options: object) -> Page:
        context = await browser.new_context(base_url=address, **options)  # type: ignore[arg-type]  # Playwright's own options
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        page = await context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda said: (
                faults.append(said.text)
                if "Content Security Policy" in said.text
                else None
            ),
        )
        opened = await sessions.begin(store, seed.people[who], instead_of=None)
        await context.add_cookies(
            [{"name": "keyturn", "value": opened.cookie, "url": address}]
        )
        await page.goto("/inbox")
        return page

    yield enter
    for context in contexts:
        await context.close()
    assert faults == [], "script errors or blocked content in the pages"


async def read_on(page: Page) -> int:
    """Press what leads to the next part that was not seen, as often as it is there."""
    presses = 0
    await page.wait_for_timeout(100)
    while presses < 40 and await page.evaluate(PRESS_READ_ON):
        await page.wait_for_timeout(80)
        presses += 1
    return presses


PRESS_READ_ON = """() => {
  const all = [...document.querySelectorAll("[data-read-on]")];
  const shown = all.find((one) => one.checkVisibility({ visibilityProperty: true }));
  shown?.click();
  return Boolean(shown);
}"""
