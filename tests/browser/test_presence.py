"""A claim is kept by a person at the page, not by a page left open."""

import re

from playwright.async_api import Request, expect

from tests.approvals.pages.seed import Seed
from tests.browser.conftest import SignIn

KEEP = re.compile("/keep$")


async def test_a_page_left_alone_keeps_no_claim(sign_in: SignIn, seed: Seed) -> None:
    page = await sign_in("agent")
    await page.clock.install()
    kept: list[Request] = []
    page.on("request", lambda one: kept.append(one) if KEEP.search(one.url) else None)
    await page.goto(f"/inbox/{seed.approvals['refund_order']}")
    await page.get_by_role("button", name="Claim it").click()
    await expect(page.locator("[data-present]")).to_have_count(1)

    async with page.expect_response(KEEP):
        await page.clock.run_for("01:35")
    await page.clock.fast_forward("10:00")
    before = len(kept)
    await page.clock.run_for("05:00")
    left = len(kept) - before
    await page.mouse.move(200, 200)
    async with page.expect_response(KEEP):
        await page.clock.run_for("01:35")

    assert before >= 1
    assert left == 0
