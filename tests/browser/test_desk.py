"""People at the desk, each in a browser of their own."""

from playwright.async_api import Page, expect

from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from tests.approvals.pages.seed import PASSWORD, Seed
from tests.browser.conftest import SignIn, read_on

# A form that decides is not sent before the page has been in view for this long.
SETTLE_MS = 1_100


async def test_signing_in_leads_where_one_wanted_to_go(
    address: str, page: Page
) -> None:
    await page.goto(f"{address}/runs")
    await page.get_by_label("E-mail address").fill("agent@example.com")
    await page.get_by_label("Password").fill(PASSWORD)

    await page.get_by_role("button", name="Sign in").click()

    await expect(page.get_by_role("heading", name="Runs")).to_be_visible()


async def test_an_agent_edits_and_approves(
    sign_in: SignIn, seed: Seed, store: Store
) -> None:
    page = await sign_in("agent")
    item = seed.approvals["refund_order"]

    await page.get_by_role("link", name="84.50 USD").first.click()
    await page.get_by_role("link", name="Edit first").click()
    await page.get_by_label("Amount, amount").fill("80.00")
    await expect(page.get_by_role("row", name="Amount 84.50 USD 80.00")).to_be_visible()
    await read_on(page)
    await page.wait_for_timeout(SETTLE_MS)
    await page.get_by_role("button", name="Approve as edited").click()

    await expect(page.get_by_text("Approved with your edits")).to_be_visible()
    async with store.read() as session:
        row = await approval_lookup.get(session, item)
    assert row.status == "approved"
    assert '"amount":8000' in (row.effective or "")


async def test_an_agent_rejects_with_a_reason(
    sign_in: SignIn, seed: Seed, store: Store
) -> None:
    page = await sign_in("agent")
    item = seed.approvals["refund_order"]
    await page.goto(f"/inbox/{item}")

    await page.wait_for_timeout(SETTLE_MS)
    await page.keyboard.press("r")
    await page.get_by_label("The amount is wrong.").check()
    await page.wait_for_timeout(SETTLE_MS)
    await page.get_by_role("button", name="Reject", exact=True).click()

    await expect(page.get_by_text("Rejected", exact=True).first).to_be_visible()
    assert await _status(store, item) == "rejected"


async def test_the_second_of_two_browsers_is_told_and_keeps_the_draft(
    sign_in: SignIn, seed: Seed, store: Store
) -> None:
    ana, other = await sign_in("agent"), await sign_in("other")
    item = seed.approvals["email_customer"]
    await ana.goto(f"/inbox/{item}?edit=1")
    await other.goto(f"/inbox/{item}")
    letter = ana.get_by_label("Body")
    await letter.fill("My careful words")
    await expect(ana.get_by_text("Draft saved")).to_be_visible()

    await read_on(other)
    await other.wait_for_timeout(SETTLE_MS)
    await other.get_by_role("button", name="Approve", exact=True).click()
    await other.wait_for_url("**?done=**")

    # It appears in the other browser by itself, and what was written stays.
    await expect(ana.get_by_text("Other approved it")).to_be_visible()
    await expect(ana.get_by_role("button", name="Approve", exact=True)).to_be_hidden()
    await expect(letter).to_have_value("My careful words")
    await read_on(ana)
    await ana.get_by_role("button", name="Approve as edited").click()
    await expect(ana.get_by_text("Already decided")).to_be_visible()
    await expect(ana.get_by_text("Other decided approve")).to_be_visible()
    await expect(ana.get_by_label("Body")).to_have_value("My careful words")
    assert await _status(store, item) == "approved"


async def test_the_queue_follows_what_others_do(sign_in: SignIn, seed: Seed) -> None:
    ana, other = await sign_in("agent"), await sign_in("other")
    item = seed.approvals["address"]
    row = ana.locator(f"#row-{item}")
    await expect(row).to_be_visible()

    await other.goto(f"/inbox/{item}")
    await read_on(other)
    await other.wait_for_timeout(SETTLE_MS)
    await other.get_by_role("button", name="Approve", exact=True).click()

    await expect(row).to_have_count(0)


async def test_who_has_an_item_is_seen_at_once_by_others(
    sign_in: SignIn, seed: Seed, store: Store
) -> None:
    ana, other = await sign_in("agent"), await sign_in("other")
    item = seed.approvals["refund_order"]
    await other.goto(f"/inbox/{item}")
    approve = other.get_by_role("button", name="Approve 84.50 USD")
    await expect(approve).to_be_visible()

    await ana.goto(f"/inbox/{item}")
    await ana.get_by_role("button", name="Claim it", exact=True).click()

    await expect(ana.get_by_text("Claimed by you")).to_be_visible()
    await expect(other.get_by_text("Claimed by Ana Agent")).to_be_visible()
    await expect(approve).to_be_hidden()
    await other.get_by_text("Take it over…").click()
    await other.get_by_label("Reason, for Ana Agent").fill("She left early.")
    await other.get_by_role("button", name="Take it over").click()
    await expect(other.get_by_text("Claimed by you")).to_be_visible()
    await expect(ana.get_by_text("Claimed by Other")).to_be_visible()
    await ana.goto("/inbox")
    row = ana.locator(f"#row-{item}")
    await expect(row.get_by_text("claimed by Other until")).to_be_visible()
    await other.get_by_role("button", name="Unclaim").click()
    await expect(row.get_by_text("claimed by Other until")).to_have_count(0)
    assert await _status(store, item) == "pending"


async def test_keys_move_and_open_and_never_decide(
    sign_in: SignIn, seed: Seed, store: Store
) -> None:
    page = await sign_in("agent")

    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/inbox/ap-*")
    first = seed.approvals["address"]
    assert page.url.endswith(first)
    for key in ("a", "y", "Escape", "e", "Escape"):
        await page.keyboard.press(key)

    assert await _status(store, first) == "pending"


async def test_a_double_click_does_not_decide_the_next_item(
    sign_in: SignIn, seed: Seed, store: Store
) -> None:
    page = await sign_in("agent")
    await page.goto(f"/inbox/{seed.approvals['refund_order']}")
    await read_on(page)
    await page.wait_for_timeout(SETTLE_MS)

    await page.locator("#approve").click()
    await page.wait_for_url("**?done=**")
    await page.locator("#approve").click(force=True)

    await page.wait_for_timeout(SETTLE_MS)
    assert await _status(store, seed.approvals["refund_order"]) == "approved"
    assert await _status(store, seed.approvals["email_customer"]) == "pending"


async def test_items_of_a_list_are_added_and_removed(page: Page, address: str) -> None:
    """The script alone, on the form that `parts/schema_form.html` draws."""
    await page.goto(f"{address}/sign-in")
    await page.set_content(
        f"""<base href="{address}/"><form><div data-list data-blank-key="__new0__">
        <div data-items></div>
        <template><div class="list-item"><input type="hidden" name="i/a"
        value="__new0__"><input name="v/a/__new0__"><button type="button"
        data-remove>Remove</button></div></template>
        <button type="button" data-add>Add one</button></div></form>
        <script type="module" src="{address}/static/app.js"></script>"""
    )
    await page.wait_for_load_state("networkidle")

    await page.get_by_text("Add one").click()
    await page.get_by_text("Add one").click()
    await page.get_by_text("Remove").first.click()

    names = await page.eval_on_selector_all("input", "all => all.map(i => i.name)")
    assert names == ["i/a", "v/a/new2"]


async def _status(store: Store, approval: str) -> str:
    async with store.read() as session:
        return (await approval_lookup.get(session, approval)).status
