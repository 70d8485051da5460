"""What tools and services said of an unknown effect: operators read it, others do not."""

import json

import pytest
from sqlmodel import col, select

from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.ledger import effects
from keyturn.orchestrator.store.people import tokens
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import EffectRow
from tests.approvals.pages.conftest import Doors
from tests.approvals.pages.seed import Seed

FOREIGN = "KeyError: shard-7 said nothing, password=hunter2222"
TOLD = "the outcome is unknown; an operator can see the error"


@pytest.fixture
async def effect(store: Store) -> EffectRow:
    """An effect that a tool's exception made unknown."""
    query = select(EffectRow).where(col(EffectRow.status) == "unknown")
    async with store.write() as session:
        row = (await session.execute(query)).scalars().first()
        assert row is not None
        run = await run_lookup.lock(session, row.run)
        await session.read_clock()
        effects.mark_unknown(session, run, row, error=FOREIGN)
        return row


def pages(row: EffectRow) -> list[str]:
    return ["/effects", f"/effects/{row.key}"]


def calls(row: EffectRow) -> list[str]:
    return ["/effects", f"/effects/{row.key}", f"/runs/{row.run}/trace"]


@pytest.mark.parametrize("who", ["agent", "lead"])
async def test_others_read_our_sentence_and_a_reference(
    doors: Doors, store: Store, seed: Seed, effect: EffectRow, who: str
) -> None:
    visitor = await doors.visit(who)
    token = await tokens.create(
        store, seed.people[who].id, name="test", by=seed.people[who].id
    )
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    read = [(await visitor.get(path)).text for path in pages(effect)]
    read += [
        (await visitor.client.get(f"/api/v1{path}", headers=headers)).text
        for path in calls(effect)
    ]

    assert not [one for one in read if "shard-7" in one]
    assert [one for one in read if TOLD in one and effect.key in one] == read
    assert f"only operators can see it, reference {effect.key}" in read[-1]


async def test_operators_read_what_was_said_without_its_secrets(
    doors: Doors, store: Store, seed: Seed, effect: EffectRow
) -> None:
    visitor = await doors.visit("operator")
    person = seed.people["operator"].id
    token = await tokens.create(store, person, name="test", by=person)
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    read = [(await visitor.get(path)).text for path in pages(effect)]
    answer = await visitor.client.get(f"/api/v1/effects/{effect.key}", headers=headers)
    read.append(answer.text)

    assert [one for one in read if "shard-7 said nothing" in one] == read
    assert not [one for one in read if "hunter2222" in one]
    assert "shard-7" in canonical.text(json.loads(answer.text)["error"])
