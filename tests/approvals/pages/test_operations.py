"""Handoffs, runs, switches, effects, incidents and tokens, worked on by their pages."""

import pytest
from sqlmodel import col, select

from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.store.db import form_results
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import bulk as run_bulk
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs.bulk import NewBulk
from keyturn.orchestrator.store.runs.listing import Filter
from keyturn.orchestrator.store.tables import (
    BulkRow,
    NoteRow,
    OutboxRow,
    ProposalRow,
    SwitchRow,
)
from tests.approvals.pages.conftest import Doors
from tests.approvals.pages.seed import PASSWORD, ROLES, Seed

WHY = "Double refunds"


async def test_a_handoff_is_taken_and_settled(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("agent")
    run = seed.runs["handed_off"]

    await visitor.post(f"/handoffs/{run}/notes", kind="taken")
    taken = (await visitor.get("/handoffs")).text
    await visitor.post(f"/handoffs/{run}/notes", kind="done_outside", text="Called.")
    settled = (await visitor.get("/handoffs")).text

    assert "Taken by Ana Agent" in taken
    assert "No open hand-offs" in settled
    async with store.read() as session:
        query = select(NoteRow.kind).where(col(NoteRow.run) == run)
        assert list((await session.execute(query)).scalars()) == [
            "taken",
            "done_outside",
        ]


async def test_a_run_is_paused_and_resumed_with_a_reason(
    doors: Doors, seed: Seed
) -> None:
    visitor = await doors.visit("operator")
    run = seed.runs["lamp"]

    await visitor.post(f"/runs/{run}/hold", control="pause", reason="Look first")
    paused = (await visitor.get(f"/runs/{run}")).text
    await visitor.post(f"/runs/{run}/hold", control="resume", reason="Fine")
    resumed = (await visitor.get(f"/runs/{run}")).text

    assert "Stopped by a pause that Operator set" in paused
    assert "Look first" in paused
    assert "Stopped by" not in resumed


async def test_a_run_is_started_from_its_contracts_form(
    doors: Doors, store: Store
) -> None:
    visitor = await doors.visit("lead")
    fields = {
        "v/customer_id": "c-9",
        "v/customer_email": "nine@example.org",
        "v/subject": "Hello",
        "v/message": "Where is it?",
        "w/order_id": "absent",
        "w/url": "absent",
        "w/card_number": "absent",
    }

    empty = await visitor.post("/runs/new", workflow="support-ticket", once="a")
    first = await visitor.post(
        "/runs/new", workflow="support-ticket", once="b", **fields
    )
    again = await visitor.post(
        "/runs/new", workflow="support-ticket", once="b", **fields
    )

    assert empty.status_code == 422
    assert "Fill in this field." in empty.text
    assert first.headers["location"] == again.headers["location"]
    async with store.read() as session:
        row = await run_lookup.get(
            session, first.headers["location"].rpartition("/")[2]
        )
    assert row.customer == "c-9"
    assert "order_id" not in row.input


async def test_a_switch_is_set_and_lifted(doors: Doors, store: Store) -> None:
    visitor = await doors.visit("operator")

    impact = await visitor.post("/ops/impact", tool="refund_order")
    set_ = await visitor.send(
        "/ops/switches",
        tool="refund_order",
        mode="halt",
        reason="Double refunds",
        sure="yes",
    )
    async with store.read() as session:
        switch = (await session.execute(select(SwitchRow))).scalar_one()
    await visitor.post(f"/ops/switches/{switch.id}/clear", reason="Mended")
    asked = (await visitor.get("/ops")).text
    async with store.read() as session:
        proposal = (await session.execute(select(ProposalRow))).scalar_one()
    answer = f"/ops/proposals/{proposal.id}"
    own = await visitor.post(answer, answer="confirm")
    second = await doors.visit("admin")
    offered = (await second.get("/ops")).text
    await second.post(answer, answer="confirm")
    after = (await second.get("/ops")).text

    assert "5 open runs" in impact.text
    assert "May still reach the provider" in set_.text
    assert switch.scope == {"tool": "refund_order"}
    assert "No switch is set" not in asked
    assert ">Withdraw<" in asked
    assert own.status_code == 403
    assert "takes two people" in own.text
    assert "Proposed by Operator" in offered
    assert "No switch is set" in after


async def _away(*_: object, **__: object) -> None:
    raise StoreUnavailable("It is away.", public_message="Nothing was changed.")


async def test_p03_a_switch_that_is_set_is_never_said_not_to_be(
    doors: Doors, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = await doors.visit("operator")
    monkeypatch.setattr(form_results, "save", _away)

    form = {"tool": "refund_order", "mode": "halt", "reason": WHY, "sure": "yes"}
    found = await visitor.post("/ops/switches", **form)

    async with store.read() as session:
        assert (await session.execute(select(SwitchRow))).scalar_one()
    assert found.status_code == 409
    assert "Your request was carried out" in found.text
    assert "Nothing was changed" not in found.text


async def test_p03_a_pause_of_many_that_holds_is_never_said_not_to(
    doors: Doors, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = await doors.visit("operator")
    monkeypatch.setattr(run_bulk, "work", _away)

    form = {"verb": "pause", "workflow": "support-ticket", "reason": WHY}
    found = await visitor.post("/ops/bulks", **form)

    async with store.read() as session:
        bulk = (await session.execute(select(BulkRow))).scalar_one()
    assert (found.status_code, bulk.verb, bulk.ended_at) == (303, "pause", None)


async def test_what_goes_on_for_many_runs_is_shown_however_much_came_after_it(
    doors: Doors, store: Store
) -> None:
    visitor = await doors.visit("operator")
    first, *later = [await run_bulk.begin(store, _bulk(f"w{n}")) for n in range(8)]
    for one in later:
        await run_bulk.stop(store, one.id, by="lea", tenant=None)

    page = (await visitor.get("/ops")).text

    assert f"/ops/bulks/{first.id}/stop" in page
    assert later[-1].id in page
    assert later[0].id not in page
    assert "keyturn run bulks" in page


def _bulk(workflow: str) -> NewBulk:
    wanted = Filter(workflow=workflow)
    return NewBulk(verb="pause", filter=wanted, reason=WHY, by="lea")


async def test_a_switch_needs_a_reason(doors: Doors) -> None:
    visitor = await doors.visit("operator")

    found = await visitor.post("/ops/switches", mode="halt", reason=" ", sure="yes")

    assert found.status_code == 422
    assert "needs a reason" in found.text


async def test_an_unknown_effect_is_recorded_with_evidence(
    doors: Doors, seed: Seed
) -> None:
    visitor = await doors.visit("lead")
    key = seed.effects["unknown"]

    bare = await visitor.post(f"/effects/{key}/record", happened="yes", evidence=" ")
    await visitor.post(f"/effects/{key}/record", happened="yes", evidence="Refund 77")
    page = (await visitor.get(f"/effects/{key}")).text
    again = await visitor.post(f"/effects/{key}/record", happened="no", evidence="x")

    assert bare.status_code == 422
    assert "Refund 77" in page
    assert "recorded by Lea Lead" in page
    assert again.status_code == 409


async def test_what_failed_later_is_brought_back_and_settled_on_its_page(
    doors: Doors, seed: Seed
) -> None:
    lea, olga = await doors.visit("lead"), await doors.visit("operator")
    path = f"/effects/{seed.effects['unknown']}"
    await olga.post(f"{path}/record", happened="yes", evidence="Refund 77")

    bare = await lea.post(f"{path}/reopen", how="reversed", words=" ")
    await lea.post(f"{path}/reopen", how="reversed", words="Account closed, says B-7")
    shown = (await olga.get(path)).text
    own = await lea.post(f"{path}/record", happened="no", evidence="I know.")
    listed = (await olga.get("/effects")).text
    await olga.post(f"{path}/record", happened="no", evidence="The letter of Monday")
    settled = (await olga.get(path)).text

    assert (bare.status_code, own.status_code) == (422, 403)
    assert "Find out whether it failed later" in shown
    assert "Account closed, says B-7" in shown
    assert "Failed later: investigate" in listed
    assert "it failed or was reversed" in settled
    assert "Find out whether" not in settled


async def test_an_unknown_effect_is_looked_up_on_demand(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("lead")
    path = f"/effects/{seed.effects['unknown']}"

    shown = (await visitor.get(path)).text
    asked = await visitor.post(f"{path}/lookup")
    after = (await visitor.get(asked.headers["location"])).text
    await visitor.post(f"{path}/record", happened="yes", evidence="Refund 77")
    late = await visitor.post(f"{path}/lookup")

    assert "Look it up" in shown
    assert "Looking it up" in after
    assert late.status_code == 409
    async with store.read() as session:
        kinds = (await session.execute(select(OutboxRow.kind))).scalars()
        assert "wake" in list(kinds)


async def test_books_are_matched_on_demand_on_the_page(doors: Doors) -> None:
    visitor = await doors.visit("operator")

    before = (await visitor.get("/incidents")).text
    asked = await visitor.post("/incidents/match")
    after = (await visitor.get("/incidents")).text

    assert "Not run yet. A worker runs it daily." in before
    assert asked.status_code == 303
    assert "Requested" in after


async def test_an_incident_is_opened_and_closed_on_its_page(doors: Doors) -> None:
    visitor = await doors.visit("operator")
    said = {"severity": "critical", "title": "Paid <b>twice</b>", "detail": "By R-7"}

    bare = await visitor.post("/incidents", **{**said, "detail": " "})
    opened = await visitor.post("/incidents", **said)
    path = opened.headers["location"]
    shown = (await visitor.get(path)).text
    unsaid = await visitor.post(f"{path}/close", reason=" ")
    own = await visitor.post(f"{path}/close", reason="Nothing to see.")
    other = await doors.visit("admin")
    await other.post(f"{path}/close", reason="The bank took R-7 back.")
    again = await other.post(f"{path}/close", reason="Me too.")
    listed = (await visitor.get("/incidents")).text

    assert (bare.status_code, unsaid.status_code, again.status_code) == (422, 422, 409)
    assert own.status_code == 403
    assert "another person has to close it" in own.text
    assert "Paid &lt;b&gt;twice&lt;/b&gt;" in shown
    assert "another person has to close it" in shown
    assert "No incident is open" in listed
    assert "The bank took R-7 back." in listed


@pytest.mark.parametrize("role", ROLES)
async def test_incidents_are_read_by_auditors_and_worked_on_by_operators(
    role: str, doors: Doors
) -> None:
    visitor = await doors.visit(role)

    page = await visitor.get("/incidents")
    menu = (await visitor.get("/runs")).text

    reads = role in ("auditor", "operator", "admin")
    assert page.status_code == (200 if reads else 403)
    assert ('href="/incidents"' in menu) == reads
    assert ("Open an incident" in page.text) == (role in ("operator", "admin"))


async def test_the_audit_log_is_verified_on_its_page(doors: Doors) -> None:
    visitor = await doors.visit("auditor")

    found = await visitor.send("/audit/verify")

    assert "The chain holds" in found.text


async def test_a_token_is_shown_once(doors: Doors) -> None:
    visitor = await doors.visit("developer")

    wanted = {"name": "ci", "days": "7", "password": PASSWORD}
    made = (await visitor.send("/settings/tokens", **wanted)).text
    later = (await visitor.get("/settings")).text

    assert "kt_" in made
    assert "kt_" not in later
