"""A browser tells of what waits where a person asked for it, and tells no arguments."""

from playwright.async_api import expect

from keyturn.orchestrator.store.db.database import Store
from tests.approvals.pages.seed import look_up, refund, start, take_turn
from tests.browser.conftest import SignIn

# In the place of the browser's own: what it would show is kept, and nobody looks.
RECORDER = """
window.told = [];
window.Notification = class {
  static permission = "default";
  static async requestPermission() { return (this.permission = "granted"); }
  constructor(title, options) { window.told.push({ title, ...options }); window.last = this; }
};
document.hasFocus = () => false;
"""


async def test_new_items_are_told_without_their_arguments(
    sign_in: SignIn, store: Store
) -> None:
    page = await sign_in("agent")
    await page.add_init_script(RECORDER)
    await page.goto("/inbox")
    await page.get_by_role("button", name="Notify me in this browser").click()
    await expect(page.get_by_role("button", name="Notifying")).to_be_visible()

    run = await start(store, "c-91", "Broken", "It broke.", "91")
    await look_up(store, run.id, "O-91")
    await take_turn(store, run.id, 2, "", refund(0, "O-91", 55_00, "Mr Li"))
    await expect(page.get_by_text("55.00 USD").first).to_be_visible()

    told = await page.evaluate("window.told")
    assert [one["title"] for one in told] == ["refund_order waits for a decision"]
    words = {name: one for name, one in told[0].items() if name != "tag"}
    assert not [secret for secret in ("55.00", "91", "Li") if secret in str(words)]
    await page.evaluate("window.last.onclick()")
    await page.wait_for_url("**/inbox/ap-*")


async def test_nobody_is_told_who_did_not_ask(sign_in: SignIn, store: Store) -> None:
    page = await sign_in("agent")
    await page.add_init_script(RECORDER + "Notification.permission = 'granted';")
    await page.goto("/inbox")

    run = await start(store, "c-92", "Broken", "It broke.", "92")
    await look_up(store, run.id, "O-92")
    await take_turn(store, run.id, 2, "", refund(0, "O-92", 56_00, "Mr Li"))
    await expect(page.get_by_text("56.00 USD").first).to_be_visible()

    assert await page.evaluate("window.told") == []
