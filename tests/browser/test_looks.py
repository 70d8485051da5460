"""Pages fit a phone and a desk, light and dark; pictures are kept for people."""

from pathlib import Path

import pytest

from tests.approvals.pages.seed import Seed
from tests.browser.conftest import SignIn
from tests.depth import SEARCHES

# Our own short words that go over a line's end: headings, names of fields, states, buttons.
TORN = """() => {
  const found = new Set();
  const ours = "th, dt, label, legend, h1, h2, h3, .state, .btn, td, .legend";
  for (const one of document.querySelectorAll(`main :is(${ours})`)) {
    const walker = document.createTreeWalker(one, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (node.parentElement.closest(".foreign, .link, .untrusted, del, ins, pre")) continue;
      for (const word of node.data.matchAll(/[A-Za-z]{2,20}/g)) {
        const range = document.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        const lines = new Set([...range.getClientRects()].map((box) => box.top));
        if (lines.size > 1) found.add(word[0]);
      }
    }
  }
  return [...found];
}"""


# Dark is colours alone, so each stands at one width; all together in a search.
LOOKS = [
    (width, scheme)
    for width in (375, 1280)
    for scheme in ("light", "dark")
    if SEARCHES or (width == 375) == (scheme == "dark")
]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
async def test_no_page_is_wider_than_its_window(
    width: int, scheme: str, sign_in: SignIn, seed: Seed, tmp_path: Path
) -> None:
    page = await sign_in(
        "operator", viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    too_wide: list[str] = []
    torn: dict[str, list[str]] = {}

    for name, path in _pages(seed).items():
        await page.goto(path)
        await page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            too_wide.append(path)
        if words := await page.evaluate(TORN):
            torn[path] = words

    assert too_wide == []
    assert torn == {}, "words broken in their middle"
    is_dark = await page.evaluate("document.documentElement.classList.contains('dark')")
    assert is_dark == (scheme == "dark")


def _pages(seed: Seed) -> dict[str, str]:
    return {
        "inbox": "/inbox",
        "item": f"/inbox/{seed.approvals['refund_order']}",
        "edit": f"/inbox/{seed.approvals['refund_order']}?edit=1",
        "several": "/inbox/several",
        "handoffs": "/handoffs",
        "handoff": f"/handoffs/{seed.runs['handed_off']}",
        "decisions": "/decisions",
        "runs": "/runs",
        "run": f"/runs/{seed.runs['lamp']}",
        "new": "/runs/new",
        "ops": "/ops",
        "tools": "/tools",
        "contract": "/contracts/support-ticket",
        "effects": "/effects",
        "effect": f"/effects/{seed.effects['unknown']}",
        "incidents": "/incidents",
        "audit": "/audit",
        "settings": "/settings",
    }
