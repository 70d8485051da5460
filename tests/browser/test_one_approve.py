"""With an edit open nothing else approves: by mouse, by key, and without a script."""

import pytest
from playwright.async_api import expect

from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from tests.approvals.pages.seed import Seed
from tests.browser.conftest import SignIn, read_on

SETTLE_MS = 800


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
async def test_an_open_edit_is_all_that_approves(
    sign_in: SignIn,
    seed: Seed,
    scripts: bool,  # noqa: FBT001 a fact of the browser
) -> None:
    page = await sign_in("agent", java_script_enabled=scripts)
    await page.goto(f"/inbox/{seed.approvals['email_customer']}")
    drafted = page.get_by_role("button", name="Approve", exact=True)
    edited = page.get_by_role("button", name="Approve the edited version")
    await expect(drafted).to_be_visible()
    await expect(edited).to_be_hidden()

    await page.locator("#edit > summary").click()

    await expect(drafted).to_be_hidden()
    await expect(edited).to_be_visible()


async def test_the_key_goes_to_what_approves(sign_in: SignIn, seed: Seed) -> None:
    page = await sign_in("agent")
    await page.goto(f"/inbox/{seed.approvals['email_customer']}?edit=1")
    await page.wait_for_timeout(SETTLE_MS)
    await page.locator("h1").click()

    await page.keyboard.press("a")

    await expect(page.locator("#approve-edited")).to_be_focused()


async def test_a_draft_kept_sends_the_edit_and_nothing_else(
    sign_in: SignIn, seed: Seed, store: Store
) -> None:
    page = await sign_in("agent")
    item = seed.approvals["email_customer"]
    await page.goto(f"/inbox/{item}?edit=1")
    await page.get_by_label("Body").fill("My careful words")
    await expect(page.get_by_text("Draft saved")).to_be_visible()
    await page.locator("#edit > summary").click()
    await expect(page.locator("#approve")).to_be_hidden()
    await page.wait_for_timeout(SETTLE_MS)
    await read_on(page)

    await page.locator("#approve-edited").click()
    await page.wait_for_url("**?done=**")

    async with store.read() as session:
        row = await approval_lookup.get(session, item)
    assert (row.status, "My careful words" in (row.effective or "")) == (
        "approved",
        True,
    )


async def test_a_discarded_edit_gives_the_button_back(
    sign_in: SignIn, seed: Seed
) -> None:
    page = await sign_in("agent")
    await page.goto(f"/inbox/{seed.approvals['email_customer']}?edit=1")
    await page.get_by_label("Body").fill("My careful words")
    await expect(page.get_by_text("Draft saved")).to_be_visible()
    await page.wait_for_timeout(SETTLE_MS)

    await page.locator("#discard-edit").click()

    await expect(page.locator("#approve")).to_be_visible()
    await expect(page.locator("#approve-edited")).to_be_hidden()
