"""A page whose stream is refused works, says so, and does not ask again and again."""

from contextlib import AsyncExitStack

from fastapi import FastAPI
from playwright.async_api import Request, expect

from keyturn.approvals.web.quotas import STREAMS_EACH, Streams
from tests.approvals.pages.seed import Seed
from tests.browser.conftest import SignIn


async def test_page_of_whom_too_many_are_open_says_that_it_shows_no_changes(
    sign_in: SignIn, seed: Seed, app: FastAPI
) -> None:
    streams: Streams = app.state.parts.quotas.people.stream
    asked: list[Request] = []

    def note(request: Request) -> None:
        asked.append(request)

    async with AsyncExitStack() as opened:
        for _ in range(STREAMS_EACH):
            await opened.enter_async_context(streams.turn(seed.people["agent"].id))
        page = await sign_in("agent")
        page.on("request", note)
        await page.clock.install()
        await page.goto("/inbox")

        said = page.locator("#toasts")
        await expect(said).to_contain_text("too many pages are open")
        await expect(page.get_by_role("main")).to_be_visible()
        await page.clock.run_for("02:00")
        live = [one for one in asked if "/inbox/live" in one.url]

    assert len(live) == 1
