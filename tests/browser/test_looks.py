"""Pages fit a phone and a desk, light and dark; pictures are kept for people."""

from pathlib import Path

import pytest

from tests.approvals.pages.seed import Seed
from tests.browser.conftest import SignIn


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
async def test_no_page_is_wider_than_its_window(
    width: int, scheme: str, sign_in: SignIn, seed: Seed, tmp_path: Path
) -> None:
    page = await sign_in(
        "operator", viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    too_wide: list[str] = []

    for name, path in _pages(seed).items():
        await page.goto(path)
        await page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            too_wide.append(path)

    assert too_wide == []
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
