"""`keyturn approval` on items that people hold, give on and give more time."""

import asyncio
from collections.abc import Iterator

import pytest

from keyturn.orchestrator.store.db.database import Store
from tests.approvals.desk import Desk
from tests.databases import VOUCHER
from tests.orchestrator.cli.program import Web, here, serving

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    keyturn = here(tmp_path_factory.mktemp("web"))
    assert keyturn("db", "upgrade").status == 0
    with serving(keyturn) as started:
        yield started


@pytest.fixture
def item(web: Web) -> str:
    """A refund that waits."""
    return asyncio.run(_waiting(web.keyturn.environment["KEYTURN_DATABASE_URL"]))


async def _waiting(url: str) -> str:
    store = Store(url, voucher=VOUCHER)
    desk = Desk(store)
    await desk.open()
    row = await desk.approval(await desk.run())
    await store.close()
    return row.id


def test_an_item_is_claimed_taken_over_and_given_up(web: Web, item: str) -> None:
    agent, lead = web.as_("agent"), web.as_("lead")

    claimed = agent("approval", "claim", item, "--json").json()
    held = lead("approval", "approve", item)
    listed = lead("approval", "list", "--claim", "claimed")
    plain = lead("approval", "claim", item)
    taken = lead("approval", "claim", item, "--take-over", "-r", "lunch", "--json")
    given_up = lead("approval", "unclaim", item, "--json").json()

    assert claimed["claimed_name"] == "agent"
    assert (held.status, plain.status) == (1, 1)
    assert "is claimed by agent until" in held.err
    assert item in listed.out
    assert taken.json()["claimed_name"] == "lead"
    assert given_up["claimed_by"] is None


def test_an_item_gets_more_time(web: Web, item: str) -> None:
    lead = web.as_("lead")

    longer = lead(
        "approval", "extend", item, "--minutes", "30", "-r", "closed", "--json"
    )
    neither = lead("approval", "extend", item, "-r", "closed")

    assert longer.json()["extended"] == 1
    assert neither.status == 2
    assert "until or minutes" in neither.err


def test_items_are_given_to_somebody(web: Web, item: str) -> None:
    web.as_("agent")
    lead = web.as_("lead")

    given = lead("approval", "assign", item, "--to", "agent@example.com", "-r", "so")
    back = lead("approval", "assign", "--from", "agent@example.com", "-r", "left")
    missing = lead("approval", "assign", "ap-none", "-r", "so")

    assert given.status == back.status == 0, given.err + back.err
    assert item in given.out
    assert "the queue" in back.out
    assert missing.status == 1
    assert "There is no approval" in missing.out
