"""P1: a proposal, release or decision written into the database by hand allows nothing."""

import json

import pytest

from keyturn.orchestrator.rules.authority.binding import (
    Grounds,
    Signer,
    Statement,
    new_key,
)
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.store.db.errors import ForgedRow
from keyturn.orchestrator.store.dual_control import proposals, requests
from keyturn.orchestrator.store.people.access import Change
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import (
    DecisionRow,
    PersonRow,
    ProposalRow,
    ReleaseRow,
)
from tests.databases import both
from tests.orchestrator.store.desk import Desk, person, refund
from tests.orchestrator.store.integrity.forgery import (
    DAY,
    by_hand,
    critical_incidents,
    inserted,
)

pytestmark = both
ADMINS = frozenset({"admin"})


async def test_p11_an_inserted_proposal_is_confirmed_by_nobody(desk: Desk) -> None:
    now = desk.clock()
    for name in ("ann", "ben"):
        async with desk.store.write() as session:
            session.add(
                PersonRow(
                    id=name,
                    name=name,
                    email=f"{name}@example.com",
                    role="admin",
                    created_at=now,
                )
            )
    change = Change(role="lead")
    asked = await requests.to_grant(
        desk.store, "amy", change, person("ann", role="admin"), reason="so"
    )
    assert isinstance(asked, ProposalRow)
    forged = ProposalRow.model_validate(
        {**asked.model_dump(), "id": "p-mine", "mac": None}
    )
    await inserted(desk, forged)

    with pytest.raises(ForgedRow):
        await proposals.confirm(
            desk.store, "p-mine", person("ben", role="admin"), roles=ADMINS
        )
    await by_hand(desk, "UPDATE proposals SET proposed_by = 'bob' WHERE id <> 'p-mine'")
    with pytest.raises(ForgedRow):
        await proposals.confirm(
            desk.store, asked.id, person("ben", role="admin"), roles=ADMINS
        )
    [amy] = await desk.rows(PersonRow, id="amy")
    assert amy.role == "agent"


async def test_p11_an_inserted_release_allows_nothing(desk: Desk) -> None:
    lax = desk.release.model_copy(update={"rules": (Rule("refund", verdict="allow"),)})
    now = desk.clock()
    row = ReleaseRow(
        hash=lax.hash(),
        workflow="desk",
        content=lax.data(),
        code_version="9",
        created_at=now,
        live_since=now + 400 * DAY,
        live_by="lea",
        signature=Signer(new_key()).sign(
            Statement(
                approval="a",
                binding="b",
                effective="b",
                person="lea",
                session="s",
                decision="approve",
                at=now,
            )
        ),
    )
    await inserted(desk, row)
    run = await desk.start()
    await desk.draft(run, refund(200_00))

    answer = await desk.lease(run)

    assert (answer.kind, answer.grant) == ("not_before", None)
    assert [one[:24] for one in await critical_incidents(desk)] == [
        "forged release of desk: "
    ]
    await desk.go_live()
    async with desk.store.read() as session:
        name, _ = await releases.live(session, "desk")
    assert name == desk.release.hash()


async def test_p11_the_date_of_a_signed_release_cannot_be_moved(desk: Desk) -> None:
    old = await desk.go_live(rules=(Rule("refund", verdict="allow"),))
    await desk.go_live()
    await by_hand(
        desk,
        "UPDATE releases SET live_since = :at WHERE hash = :hash",
        at=(desk.clock() + DAY).replace(tzinfo=None)
        if desk.store.is_sqlite
        else desk.clock() + DAY,
        hash=old.hash(),
    )
    run = await desk.start()
    await desk.draft(run, refund(200_00))

    assert (await desk.lease(run)).grant is None


async def test_p11_the_effect_workers_own_contract_counts(desk: Desk) -> None:
    """Also where both releases in the record would allow it outright."""
    strict = desk.release
    desk.release = await desk.go_live(rules=(Rule("refund", verdict="allow"),))
    run = await desk.start()
    await desk.draft(run, refund())
    desk.trust.own["desk"] = strict  # pyright: ignore[reportIndexIssue] a dict of the test's

    assert (await desk.lease(run)).kind == "waiting"


async def test_p08_started_by_emptied_after_the_decision_is_found(desk: Desk) -> None:
    run = await desk.start(started_by="bob")
    await desk.draft(run, refund())
    await desk.decide(run, "amy")
    await by_hand(desk, "UPDATE runs SET started_by = NULL")

    answer = await desk.lease(run)

    assert answer.kind == "refused"
    approval = await desk.approval(run)
    assert approval.closed_because == (
        "the person who started the run was changed after the decision"
    )
    assert await critical_incidents(desk) == [f"forged decision on {approval.id}"]


async def test_p08_who_may_not_decide_emptied_after_the_decision_is_found(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    asked = await desk.approval(run)
    await by_hand(desk, "UPDATE approvals SET not_by = :by", by=json.dumps(["lou"]))
    await desk.decide(run, "amy")
    await by_hand(desk, "UPDATE approvals SET not_by = '[]'")

    assert (await desk.lease(run)).kind == "refused"
    assert await critical_incidents(desk) == [f"forged decision on {asked.id}"]


async def test_p08_a_role_given_after_the_decision_carries_nothing(desk: Desk) -> None:
    """The role that a decision was given in is signed with it."""
    run = await desk.start()
    await desk.draft(run, refund())
    asked = await desk.decide(run, "amy")
    await by_hand(desk, "UPDATE people SET role = 'lead' WHERE id = 'amy'")
    await by_hand(
        desk, "UPDATE approvals SET role = 'lead' WHERE id = :id", id=asked.id
    )

    assert (await desk.lease(run)).kind == "refused"


@pytest.mark.parametrize("people_", [("lea", "lou")])
async def test_p01_forged_decisions_pay_nothing_and_tell(
    desk: Desk, people_: tuple[str, str]
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(900_00))
    asked = await desk.approval(run)
    mine = Signer(new_key())
    for who in people_:
        said = Statement(
            approval=asked.id,
            binding=asked.binding or "",
            effective=asked.binding or "",
            person=who,
            session=f"s-{who}",
            decision="approve",
            at=desk.clock(),
            grounds=Grounds(
                started_by=None,
                not_by=(),
                assigned_to=None,
                revision=0,
                role="lead",
                tenant=None,
            ),
        )
        row = DecisionRow(
            **said.model_dump(exclude={"grounds"}),
            person_name=who,
            grounds=said.grounds.model_dump_json() if said.grounds else None,
            signature=mine.sign(said),
        )
        await inserted(desk, row)
    await by_hand(
        desk,
        "UPDATE approvals SET status = 'approved', usable_until = answer_by",
    )

    answer = await desk.lease(run)

    assert answer.kind == "refused"
    assert await critical_incidents(desk) == [f"forged decision on {asked.id}"]
