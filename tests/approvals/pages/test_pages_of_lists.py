"""Lists of operations end at no fixed number: each turns, and totals are bounded counts."""

import re
from datetime import timedelta

from keyturn.orchestrator.store.db import row_count
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.tables import (
    MeterRow,
    PersonRow,
    ProposalRow,
    SwitchRow,
    TokenRow,
)
from tests.approvals.pages.conftest import Doors, Visitor
from tests.approvals.pages.seed import Seed

MANY = 45
NEXT = re.compile(r'rel="next" href="([^"]+)"')
BACK = re.compile(r'rel="prev" href="([^"]+)"')


async def _walk(visitor: Visitor, path: str, what: str, row: str) -> list[list[str]]:
    """Return what each page of a list shows, to its end."""
    pages: list[list[str]] = []
    query: str | None = ""
    while query is not None:
        text = (await visitor.get(f"{path}{query}")).text
        pages.append(re.findall(row, text))
        nav = text.partition(f'aria-label="Pages of {what}"')[2].partition("</nav>")[0]
        links = [one.replace("&amp;", "&") for one in NEXT.findall(nav)]
        query = links[0] if links else None
        assert len(pages) < 10
    return pages


async def test_each_list_of_operations_is_turned_to_its_end(
    doors: Doors, store: Store
) -> None:
    async with store.write() as session:
        now = await session.read_clock()
        for n in range(MANY):
            # Two of each minute: the place of a row is its time and its name.
            at = now - timedelta(minutes=60 + n // 2)
            session.add(
                SwitchRow(
                    id=f"gone-{n:02}",
                    scope={},
                    mode="halt",
                    reason=f"ended {n:02}.",
                    author="x",
                    created_at=at,
                    cleared_at=now,
                )
            )
            session.add(MeterRow(scope=f"workflow w{n:02} on 2030-01-01"))
            session.add(
                ProposalRow(
                    id=f"proposal-{n:02}",
                    kind="switch.clear",
                    target={"switch": f"s-{n:02}", "set_at": at.isoformat()},
                    reason="Mended.",
                    proposed_by="x",
                    proposed_name="X",
                    created_at=at,
                    ends_at=now + timedelta(hours=1),
                )
            )
    visitor = await doors.visit("operator")

    for what, row in {
        "what was lifted or ended": r"ended \d\d\.",
        "the budgets": r"workflow w\d\d on",
        "what waits for a second person": r"Lift the switch s-\d\d",
    }.items():
        pages = await _walk(visitor, "/ops", what, row)

        found = [one for page in pages for one in page]
        assert [len(page) for page in pages][:2] == [20, 20], what
        assert len(found) == len(set(found)) == MANY, what


async def test_the_second_page_leads_back(doors: Doors, store: Store) -> None:
    async with store.write() as session:
        for n in range(MANY):
            session.add(MeterRow(scope=f"workflow w{n:02} on 2030-01-01"))
    visitor = await doors.visit("operator")
    first = (await visitor.get("/ops")).text
    second = await visitor.get(f"/ops{NEXT.findall(first)[0].replace('&amp;', '&')}")

    back = BACK.findall(second.text)[0].replace("&amp;", "&")

    assert "workflow w44 on" in (await visitor.get(f"/ops{back}")).text
    assert "workflow w44 on" not in second.text


async def test_ones_own_tokens_are_turned(
    doors: Doors, store: Store, seed: Seed
) -> None:
    owner = seed.people["operator"].id
    async with store.write() as session:
        now = await session.read_clock()
        for n in range(MANY):
            session.add(
                TokenRow(
                    id=f"token-{n:02}",
                    person=owner,
                    name=f"laptop {n:02}.",
                    hash=f"{n}",
                    created_at=now,
                )
            )
    visitor = await doors.visit("operator")

    # What signing out everywhere ends names them, too.
    pages = await _walk(visitor, "/settings", "your tokens", r"For\">laptop \d\d\.")

    assert [len(page) for page in pages] == [20, 20, 5]


async def test_a_total_is_true_and_counted_no_further_than_it_is_told(
    doors: Doors, store: Store
) -> None:
    admin = await doors.visit("admin")
    async with store.read() as session:
        before = await accounts.total(session, tenant=None)
    told = [(await admin.get(path)).text for path in ("/settings/people", "/runs")]
    async with store.write() as session:
        now = await session.read_clock()
        for n in range(row_count.MOST):
            session.add(
                PersonRow(
                    id=f"p-{n}",
                    name=f"P{n}",
                    email=f"p{n}@example.com",
                    role="agent",
                    created_at=now,
                )
            )
    many = (await admin.get("/settings/people")).text

    assert f"{before.found} in all" in told[0]
    assert re.search(r"data-total>\d+ in all", told[1])
    assert "more than 1,000 in all" in many
    for path in ("/audit", "/decisions", "/runs?status=stopped"):
        assert re.search(r"data-total>\d+ in all", (await admin.get(path)).text), path
