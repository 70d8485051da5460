"""What was written and could not be sent is filled in again, and is carried out once."""

from playwright.async_api import Route, expect

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.views import timeline
from tests.approvals.pages.seed import Seed
from tests.browser.conftest import SignIn

WORDS = "The carrier says that it left the depot on Monday."


async def test_a_note_that_found_no_server_is_kept_until_it_is_sent(
    sign_in: SignIn, seed: Seed, store: Store
) -> None:
    page = await sign_in("agent")
    path = f"/runs/{seed.runs['lamp']}"
    await page.goto(path)
    await page.route("**/notes", _away)
    await page.get_by_label("Add a note").fill(WORDS)
    await page.get_by_role("button", name="Add", exact=True).click()
    await page.wait_for_timeout(300)
    await page.unroute("**/notes")

    await page.goto(path)
    await expect(page.get_by_label("Add a note")).to_have_value(WORDS)
    await expect(page.get_by_text("this was not sent")).to_be_visible()
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.locator(".plain", has_text=WORDS)).to_be_visible()
    await page.goto(path)
    await page.reload()

    await expect(page.get_by_label("Add a note")).to_have_value("")
    record = await timeline.load(store, seed.runs["lamp"], tenant=None)
    assert [note.text for note in record.notes] == [WORDS]


async def _away(route: Route) -> None:
    await route.abort("connectionrefused")
