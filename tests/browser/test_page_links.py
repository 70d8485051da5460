"""Turning the inbox's pages in a real browser, with a filter, a decision and Back."""

from playwright.async_api import Page, expect

from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from tests.approvals.pages.seed import Seed, approvals_of, refund, start, take_turn
from tests.browser.conftest import SignIn, read_on

MORE = 55
SETTLE_MS = 1_100
ROWS = "a.queue-row"


async def test_a_filtered_inbox_is_turned_decided_on_and_gone_back_in(
    sign_in: SignIn, seed: Seed, store: Store
) -> None:
    del seed
    ids = await _refunds(store)
    page = await sign_in("agent")
    await page.goto("/inbox?tool=refund_order")
    first = await _shown(page)
    await _turn(page, "Next page", then="Previous page")
    second, where = await _shown(page), page.url

    item = await _approve(page, second[0])
    await page.goto(where)
    left = await _shown(page)
    await _turn(page, "Previous page", then="Next page")

    assert (len(first), set(first) & set(second)) == (50, set[str]())
    assert set(ids) <= {*first, *second}
    assert "tool=refund_order" in where
    assert left == second[1:]
    assert await _shown(page) == first
    async with store.read() as session:
        assert (await approval_lookup.get(session, item)).status == "approved"


async def _refunds(store: Store) -> list[str]:
    """Ask for more refunds than a page shows; return their approvals."""
    ids: list[str] = []
    for n in range(MORE):
        order = f"P-{n:03}"
        run = await start(store, f"c-{order}", "Broken", "It broke.", order)
        await take_turn(store, run.id, 1, "", refund(0, order, 20_00 + n, "Mr Li"))
        ids += [one.id for one in await approvals_of(store, run.id)]
    return ids


async def _shown(page: Page) -> list[str]:
    found = await page.locator(ROWS).evaluate_all("all => all.map(a => a.dataset.row)")
    return [str(one) for one in found]


async def _turn(page: Page, link: str, *, then: str) -> None:
    await page.get_by_role("link", name=link).click()
    await expect(page.get_by_role("link", name=then)).to_be_visible()


async def _approve(page: Page, item: str) -> str:
    await page.locator(f"{ROWS}[data-row={item}]").click()
    await page.wait_for_url(f"**/inbox/{item}**")
    await read_on(page)
    await page.wait_for_timeout(SETTLE_MS)
    await page.locator("#approve").click()
    await page.wait_for_url("**?done=**")
    return item
