"""Hostile texts hold the web process's loop for no 50 ms, on pages and over HTTP."""

import pytest

from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import tokens
from keyturn.orchestrator.store.tables import ApprovalRow, RunRow
from tests.approvals.pages.conftest import Doors, Visitor
from tests.approvals.pages.seed import Seed
from tests.depth import some
from tests.slices import HOSTILE, MOST_MS, beating

# The longest that the tool for mail takes.
LONGEST_MAIL = 10_000
KINDS = sorted(HOSTILE)


async def plant(store: Store, seed: Seed, words: str) -> tuple[str, str]:
    """Put a text wherever strangers write on an item; return the item and its run."""
    item = seed.approvals["refund_order"]
    async with store.write() as session:
        approval = await session.get(ApprovalRow, item)
        assert approval is not None
        run = await session.get(RunRow, approval.run)
        assert run is not None
        run.input = _with(run.input, words)
        approval.preview = canonical.text({"note": words})
        approval.effective = _with(approval.arguments, words[::-1])
        approval.arguments = _with(approval.arguments, words)
        return item, run.id


def _with(text: str, words: str) -> str:
    value = canonical.parse(text)
    assert isinstance(value, dict)
    return canonical.text({**value, "text": words, "reason": words})


def paths(item: str, run: str) -> list[str]:
    return [f"/inbox/{item}", f"/runs/{run}", f"/runs/{run}/timeline", "/inbox"]


async def visit(visitor: Visitor, item: str, run: str) -> None:
    for path in paths(item, run):
        answer = await visitor.get(path)
        assert answer.status_code == 200, answer.text[:300]


@pytest.mark.parametrize("kind", some(KINDS, of=2, turn=0))
async def test_no_page_holds_the_loop_for_what_strangers_wrote(
    doors: Doors, store: Store, seed: Seed, kind: str
) -> None:
    words = HOSTILE[kind]
    visitor = await doors.visit("agent")
    # What is compiled once, and read at first, is no text's doing.
    await visit(visitor, *await plant(store, seed, "plain"))
    item, run = await plant(store, seed, words)

    async with beating() as beats:
        await visit(visitor, item, run)

    assert beats.worst_ms < MOST_MS


@pytest.mark.parametrize("kind", some(KINDS, of=2, turn=1))
async def test_no_request_holds_the_loop_for_what_it_says(
    doors: Doors, store: Store, seed: Seed, kind: str
) -> None:
    words = HOSTILE[kind]
    visitor = await doors.visit("agent")
    person = seed.people["agent"].id
    token = await tokens.create(store, person, name="test", by=person)
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    item, run = await plant(store, seed, words)
    asked = [f"/runs/{run}", f"/runs/{run}/trace", f"/approvals/{item}", "/approvals"]
    body = {"workflow": "support", "input": {"customer_id": "c-1", "text": words}}

    async with beating() as beats:
        for path in asked:
            answer = await visitor.client.get(f"/api/v1{path}", headers=headers)
            assert answer.status_code == 200
        await visitor.client.post("/api/v1/runs", json=body, headers=headers)

    assert beats.worst_ms < MOST_MS


@pytest.mark.parametrize("kind", some(KINDS, of=3, turn=2))
async def test_no_edit_holds_the_loop_for_what_it_compares(
    doors: Doors, store: Store, seed: Seed, kind: str
) -> None:
    words = HOSTILE[kind]
    visitor = await doors.visit("agent")
    item = seed.approvals["email_customer"]
    mail = {"v/subject": "About it", "v/body": "plain"}
    await visitor.post(f"/inbox/{item}/draft", **mail)
    async with store.write() as session:
        approval = await session.get(ApprovalRow, item)
        assert approval is not None
        approval.arguments = canonical.text(
            {"subject": "About it", "body": words[:LONGEST_MAIL]}
        )

    async with beating() as beats:
        for body in (words[1 : LONGEST_MAIL + 1], words):
            kept = {**mail, "v/body": body}
            answer = await visitor.post(f"/inbox/{item}/draft", **kept)
            assert answer.status_code == 200
            await visit_item(visitor, item)

    assert beats.worst_ms < MOST_MS


async def test_no_strangers_form_holds_the_loop_while_it_is_read(doors: Doors) -> None:
    visitor = await doors.visit("agent")
    # As large as a field may be, and dear to unquote.
    sent = b"email=nobody%40example.com&password=" + b"%D9%A3" * 170_000
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    async with beating() as beats:
        answer = await visitor.client.post("/sign-in", content=sent, headers=headers)

    assert answer.status_code == 303
    assert "error=" in answer.headers["location"]
    assert beats.worst_ms < MOST_MS


async def visit_item(visitor: Visitor, item: str) -> None:
    assert (await visitor.get(f"/inbox/{item}")).status_code == 200
