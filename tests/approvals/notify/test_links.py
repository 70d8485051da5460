"""Where what people are told of leads them."""

from datetime import UTC, datetime

import pytest

from keyturn.approvals.auth import dual_control
from keyturn.approvals.notify import contents
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.notices.fan_out import Event


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        ("switch.clear", "/ops"),
        ("budget.raise", "/ops"),
        ("person.access", "/settings/people"),
        ("tenant.declare", "/settings/people"),
    ],
)
async def test_a_proposal_leads_to_the_page_that_answers_it(
    store: Store, kind: str, page: str
) -> None:
    event = Event(
        id="event-1",
        kind="proposal.opened",
        at=datetime(2026, 11, 28, tzinfo=UTC),
        actor="olga",
        tenant=None,
        run=None,
        subject="proposal-1",
        payload={"kind": kind},
    )

    async with store.read() as session:
        told = await contents.of(session, event)

    assert told["path"] == page


def test_every_kind_of_proposal_has_its_page() -> None:
    assert dual_control.PAGES.keys() == dual_control.NEEDS.keys()
