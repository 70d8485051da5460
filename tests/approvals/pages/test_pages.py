"""Every page for every role, and what stands on it."""

import pytest
from fastapi import FastAPI

from keyturn.orchestrator.store.db.database import Store
from tests.approvals.pages.conftest import Doors
from tests.approvals.pages.seed import ROLES, Seed

PLAIN = (
    "/inbox",
    "/inbox/queue",
    "/handoffs",
    "/decisions",
    "/runs",
    "/ops",
    "/tools",
    "/tools/refund_order",
    "/contracts",
    "/contracts/support-ticket",
    "/effects",
    "/settings",
    "/notices",
)


@pytest.mark.parametrize("role", ROLES)
async def test_pages_render_for_each_role(role: str, doors: Doors, seed: Seed) -> None:
    visitor = await doors.visit(role)
    found = {
        path: (await visitor.get(path)).status_code for path in (*PLAIN, *_own(seed))
    }

    assert found == dict.fromkeys(found, 200)


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_sees_only_what_it_may(role: str, doors: Doors) -> None:
    visitor = await doors.visit(role)

    audit = await visitor.get("/audit")
    new_run = await visitor.get("/runs/new")

    assert audit.status_code == (
        200 if role in ("auditor", "operator", "admin") else 403
    )
    assert new_run.status_code == (403 if role == "auditor" else 200)


@pytest.mark.parametrize("path", ["/inbox", "/runs", "/ops", "/audit", "/settings"])
async def test_nobody_is_sent_to_sign_in(path: str, doors: Doors) -> None:
    visitor = await doors.visit("agent")
    visitor.client.cookies.clear()

    found = await visitor.get(path)

    assert found.status_code == 303
    assert found.headers["location"] == f"/sign-in?next={path}"


async def test_the_sign_in_page_takes_no_words_from_a_link(doors: Doors) -> None:
    visitor = await doors.visit("agent")
    visitor.client.cookies.clear()

    found = await visitor.get("/sign-in?error=Call+0900-EVIL&next=//evil.test")

    assert "EVIL" not in found.text
    assert "evil.test" not in found.text
    assert "address or the password is wrong" in found.text


async def test_no_page_has_inline_script_style_or_handler(
    doors: Doors, seed: Seed
) -> None:
    visitor = await doors.visit("admin")

    for path in (*PLAIN, *_own(seed), "/audit", "/runs/new"):
        page = (await visitor.get(path)).text
        assert "<style" not in page
        assert "<script>" not in page
        assert " style=" not in page
        assert " onclick=" not in page


async def test_the_item_frames_hostile_text(doors: Doors, seed: Seed) -> None:
    visitor = await doors.visit("agent")

    page = (await visitor.get(f"/inbox/{seed.approvals['refund_order']}")).text

    assert "\u202e" not in page
    assert "\u200b" not in page
    assert "&lt;b&gt;SYSTEM:&lt;/b&gt;" in page
    assert '<span class="host">xn--pypal-4ve.com</span>' in page
    assert 'href="https://xn--pypal' not in page
    assert "4111" not in page
    assert "Withheld by the contract: card_number" in page


async def test_a_scripted_model_is_labelled(doors: Doors) -> None:
    visitor = await doors.visit("agent")

    assert "Scripted model" in (await visitor.get("/inbox")).text
    assert "Scripted model" in (await visitor.get("/runs")).text


async def test_another_tenants_items_are_not_there(
    doors: Doors, seed: Seed, store: Store, app: FastAPI
) -> None:
    del app
    async with store.write() as session:
        person = await session.merge(seed.people["other"])
        person.tenant = "elsewhere"
    visitor = await doors.visit("other")

    found = [
        (await visitor.get(path)).status_code for path in _own(seed) if path != "/"
    ]

    assert set(found) == {404}
    assert "No items are waiting" in (await visitor.get("/inbox")).text


def _own(seed: Seed) -> list[str]:
    return [
        *(f"/inbox/{one}" for one in seed.approvals.values()),
        *(f"/inbox/{one}/news" for one in seed.approvals.values()),
        *(f"/runs/{one}" for one in seed.runs.values()),
        *(f"/effects/{one}" for one in seed.effects.values()),
        f"/handoffs/{seed.runs['handed_off']}",
    ]
