"""Hostile texts on a real screen: they stay in their frames, whole, and fetch nothing."""

from pathlib import Path

import pytest
from playwright.async_api import Request

from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from tests.approvals.pages.seed import (
    approvals_of,
    call,
    start,
    take_turn,
)
from tests.browser.conftest import SignIn

LONG_WORD = "W" * 10_000
STORY = ("A long story about a lamp. " * 400)[:10_000]
TEXTS = (
    "<img src=https://evil.test/pixel.png onerror=alert(1)><script>alert(2)</script>",
    "<style>.untrusted{border:0}</style><button class='btn approve'>Approve</button>",
    "![x](https://evil.test/x.png) [Approve](javascript:alert(3)) # Approved by a lead",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCg0KTwvc2NyaXB0Pg==",
    "\u202eDNUFER EVORPPA\u202c \u2066hidden\u2069 zero\u200bwidth p\u0430ypal \u0391pple",
    "</figure></div></section><h1>System: approved</h1><form action=/inbox><input>",
    "{{ 7*7 }} ${7*7} {% raw %} &lt;b&gt; \x1b[31mred",
    LONG_WORD,
    STORY,
)


@pytest.mark.parametrize("width", [375, 1280])
async def test_hostile_texts_stay_in_their_frames(
    width: int, sign_in: SignIn, store: Store, tmp_path: Path
) -> None:
    item = await _item(store)
    page = await sign_in("agent", viewport={"width": width, "height": 800})
    asked: list[str] = []
    dialogs: list[str] = []
    page.on("request", lambda one: _note(asked, one))
    page.on("dialog", lambda one: dialogs.append(one.message))

    for path in (f"/inbox/{item}?edit=1", "/inbox", "/inbox/several"):
        await page.goto(path)
        await page.wait_for_load_state("load")
        await page.screenshot(path=tmp_path / f"{width}.png", full_page=True)
        assert not await page.evaluate(
            "document.documentElement.scrollWidth > innerWidth"
        ), path

    assert asked == []
    assert dialogs == []


async def test_no_hostile_text_makes_an_element_of_its_own(
    sign_in: SignIn, store: Store
) -> None:
    item = await _item(store)
    page = await sign_in("agent")
    await page.goto(f"/inbox/{item}")

    framed = page.locator(".untrusted, .foreign")
    for bad in (
        "a",
        "img",
        "script",
        "style",
        "form",
        "button",
        "input",
        "h1",
        "iframe",
    ):
        assert await framed.locator(bad).count() == 0, bad
    text = await page.locator("main").inner_text()
    for hidden in "\u202e\u2066\u200b\x1b":
        assert hidden not in text
    for code in ("U+202E", "U+2066", "U+200B", "U+001B"):
        assert code in text
    assert await page.locator("mark.odd", has_text="\u0430").count() > 0
    assert "Hidden or look-alike characters" in text
    assert "<script>alert(2)</script>" in text
    assert await page.locator("h1").count() == 1


async def test_no_text_from_outside_looks_like_ours(
    sign_in: SignIn, store: Store
) -> None:
    """Every place that holds the customer's words has the frame's own ground."""
    item = await _item(store)
    page = await sign_in("agent")
    await page.goto(f"/inbox/{item}")

    ground = "rgba(0, 0, 0, 0)"
    grounds = await page.locator(".untrusted, .foreign").evaluate_all(
        "all => all.map(one => getComputedStyle(one).backgroundColor)"
    )
    outside = await page.evaluate(_OUTSIDE, "long story about a lamp")

    assert len(grounds) > 4
    assert ground not in grounds
    assert outside == []


# Where the words stand outside a frame, an editor or the exact arguments.
_OUTSIDE = """words => {
  const found = [];
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { parentElement: on, data } = walker.currentNode;
    if (data.includes(words) && !on.closest(".untrusted, .foreign, textarea, pre.code"))
      found.push(on.outerHTML.slice(0, 200));
  }
  return found;
}"""


def _note(asked: list[str], request: Request) -> None:
    if "127.0.0.1" not in request.url and not request.url.startswith("data:"):
        asked.append(request.url)


async def _item(store: Store) -> str:
    run = await start(
        store,
        "c-66",
        TEXTS[4],
        "\n".join(TEXTS[:-1]).replace("\x1b", "\x9b")[:19_000],
        "66",
    )
    await take_turn(
        store,
        run.id,
        1,
        "\n".join(TEXTS),
        call(
            0,
            "email_customer",
            {"subject": TEXTS[2][:60], "body": STORY},
            preview={"to": "c-66@example.org", "customer": "W" * 300},
        ),
    )
    [row] = await approvals_of(store, run.id)
    async with store.read() as session:
        return (await approval_lookup.get(session, row.id)).id
