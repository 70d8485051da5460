"""What is approved is all on the page, and was on the screen before it can be approved."""

import pytest
from playwright.async_api import expect

from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import EffectRow
from tests.approvals.pages.seed import Seed, approvals_of, call, start, take_turn
from tests.browser.conftest import SignIn, read_on
from tests.depth import SEARCHES

CASH = "We also send you 1,450 USD in cash."
HIDDEN_BY_LINES = f"Dear Ms Okafor,\n\nThank you.{chr(10) * 71}{CASH}"
LONG = "\n".join(f"Line {number} of a long letter." for number in range(1, 161))
WIDE = f"{'W' * 3_000} {' ' * 400}{CASH}"
SETTLE_MS = 1_100

BODIES = {"lines": HIDDEN_BY_LINES, "long": LONG, "wide": WIDE}
# Each body on a phone or on a desk; on both in a search.
SEEN = [
    pytest.param(width, body, id=f"{name}-{width}")
    for name, body in BODIES.items()
    for width in (375, 1280)
    if SEARCHES or (width == 375) == (name != "long")
]

# What of a decision scrolls inside a box of its own.
SCROLLS = """() => [...document.querySelectorAll("main *")].filter((one) => {
  const { overflowX, overflowY } = getComputedStyle(one);
  const is_down = one.scrollHeight > one.clientHeight + 1 && overflowY !== "visible";
  const is_across = one.scrollWidth > one.clientWidth + 1 && overflowX !== "visible";
  return one.clientHeight && !one.closest(".crumbs") && (is_down || is_across);
}).map((one) => one.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize(("width", "body"), SEEN)
async def test_nothing_bound_scrolls_inside_a_box(
    width: int, body: str, sign_in: SignIn, seed: Seed, store: Store
) -> None:
    item, other = await _mail(store, body), await _mail(store, body, "71")
    await _in_ledger(store, seed.effects["unknown"], body)
    page = await sign_in("lead", viewport={"width": width, "height": 800})
    await page.goto(f"/inbox/{item}?edit=1")
    await page.get_by_label("Body").fill(f"{body}\n{body}")
    await expect(page.get_by_text("Draft saved")).to_be_visible()
    for one in (item, other):
        async with page.expect_response(f"**/inbox/{one}/opened"):
            await page.goto(f"/inbox/{one}")
    found: dict[str, list[str]] = {}

    for path in (
        f"/inbox/{item}",
        f"/inbox/several/confirm?item={item}&item={other}",
        f"/effects/{seed.effects['unknown']}",
        f"/runs/{seed.runs['unknown']}",
        f"/handoffs/{seed.runs['handed_off']}",
        "/decisions",
        "/inbox/several",
    ):
        await page.goto(path)
        assert await page.locator("h1").count() == 1, path
        await page.evaluate(
            "for (const one of document.querySelectorAll('details')) one.open = true"
        )
        await page.wait_for_timeout(100)
        if inner := await page.evaluate(SCROLLS):
            found[path] = inner

    assert found == {}


@pytest.mark.parametrize("width", [375, 1280])
async def test_what_stands_after_empty_lines_stands_on_the_screen(
    width: int, sign_in: SignIn, store: Store
) -> None:
    page = await sign_in("agent", viewport={"width": width, "height": 800})

    await page.goto(f"/inbox/{await _mail(store, HIDDEN_BY_LINES)}")

    bound = page.locator("[data-bound]").nth(1)
    box = await bound.bounding_box()
    assert box is not None
    assert box["height"] < 400
    await expect(bound.get_by_text("70 empty lines", exact=True)).to_be_visible()
    await expect(bound.get_by_text(CASH)).to_be_visible()


@pytest.mark.parametrize("width", [375, 1280])
async def test_approving_waits_until_all_of_it_was_on_the_screen(
    width: int, sign_in: SignIn, store: Store
) -> None:
    item = await _mail(store, LONG)
    page = await sign_in("agent", viewport={"width": width, "height": 800})
    await page.goto(f"/inbox/{item}")
    approve = page.locator("#approve")

    # A jump to the end leaves out the middle.
    await expect(approve).to_be_disabled()
    await page.evaluate("scrollTo(0, document.body.scrollHeight)")
    await page.wait_for_timeout(300)
    await expect(approve).to_be_disabled()
    await page.evaluate("document.querySelector('#approve').form.requestSubmit()")
    await expect(
        page.get_by_text("Not sent: part of what you would approve")
    ).to_be_visible()
    presses = await read_on(page)

    await expect(approve).to_be_enabled()
    await page.wait_for_timeout(SETTLE_MS)
    await approve.click()
    await page.wait_for_url("**?done=**")
    assert 3 <= presses <= 20
    assert await _status(store, item) == "approved"


async def test_no_button_moves_as_the_last_of_it_is_seen(
    sign_in: SignIn, store: Store
) -> None:
    """Else a press that began on one button ends on what took its place."""
    page = await sign_in("agent", viewport={"width": 1280, "height": 800})
    await page.goto(f"/inbox/{await _mail(store, LONG)}")
    note = page.locator("[data-unseen]:visible")
    await expect(note).to_be_visible()
    place = "document.querySelector('#approve').getBoundingClientRect().top - "
    place += "document.querySelector('#approve').closest('.decide').getBoundingClientRect().top"
    before = await page.evaluate(place)

    await read_on(page)

    await expect(note).to_be_hidden()
    assert await page.evaluate(place) == before


async def test_an_edit_is_approved_when_its_whole_difference_was_seen(
    sign_in: SignIn, store: Store
) -> None:
    item = await _mail(store, LONG)
    page = await sign_in("agent", viewport={"width": 1280, "height": 800})
    await page.goto(f"/inbox/{item}?edit=1")
    await page.get_by_label("Subject").fill("Another subject")
    await expect(page.get_by_text("Draft saved")).to_be_visible()
    await page.goto(f"/inbox/{item}?edit=1")

    await expect(page.locator("#send-edit")).to_be_disabled()
    await read_on(page)

    await expect(page.locator("#send-edit")).to_be_enabled()


async def test_a_long_edit_is_thrown_away_unread(sign_in: SignIn, store: Store) -> None:
    page = await sign_in("agent", viewport={"width": 1280, "height": 800})
    await page.goto(f"/inbox/{await _mail(store, LONG)}?edit=1")
    await page.get_by_label("Subject").fill("Another subject")
    await expect(page.get_by_text("Draft saved")).to_be_visible()
    await expect(page.locator("#send-edit")).to_be_disabled()
    await page.wait_for_timeout(SETTLE_MS)

    await page.locator("#discard-edit").click()

    await expect(page.locator("#send-edit")).to_be_hidden()
    await expect(page.get_by_text("Draft saved")).to_be_hidden()


async def test_without_scripts_the_answer_stands_after_what_it_is_about(
    sign_in: SignIn, store: Store
) -> None:
    item = await _mail(store, LONG)
    page = await sign_in("agent", java_script_enabled=False)
    await page.goto(f"/inbox/{item}")

    last = await page.locator("[data-bound]").last.bounding_box()
    approve = page.locator("#approve")
    button = await approve.bounding_box()
    assert last is not None
    assert button is not None
    assert button["y"] > last["y"] + last["height"]
    await approve.click()

    assert await _status(store, item) == "approved"


async def test_texts_of_records_have_a_frame_and_numbers_of_code_have_none(
    sign_in: SignIn, seed: Seed
) -> None:
    page = await sign_in("agent")

    await page.goto(f"/inbox/{seed.approvals['address']}")

    facts = page.locator("[data-bound]").first
    await expect(facts.locator(".value.foreign", has_text="R. Ito")).to_be_visible()
    await page.goto(f"/inbox/{seed.approvals['email_customer']}")
    facts = page.locator("[data-bound]").first
    await expect(facts.locator(".value.foreign", has_text="Ms Okafor")).to_be_visible()
    await expect(facts.locator(".value:not(.foreign)")).to_have_text("yes")


async def _in_ledger(store: Store, key: str, body: str) -> None:
    async with store.write() as session:
        row = await session.get(EffectRow, key)
        assert row is not None
        row.arguments = canonical.text({"body": body})
        row.preview = canonical.text({"to": body})
        row.receipt = {"note": body}


async def _mail(store: Store, body: str, number: str = "70") -> str:
    run = await start(store, f"c-{number}", "Hello", body, number)
    await take_turn(
        store,
        run.id,
        1,
        "",
        call(
            0,
            "email_customer",
            {"subject": "Your order", "body": body},
            preview={"to": "c-70@example.org", "note": body, "extras": [body, body]},
        ),
    )
    [row] = await approvals_of(store, run.id)
    return row.id


async def _status(store: Store, approval: str) -> str:
    async with store.read() as session:
        return (await approval_lookup.get(session, approval)).status
