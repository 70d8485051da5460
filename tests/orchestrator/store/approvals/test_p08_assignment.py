"""P8: nobody chooses their own accomplice; the system picks, and picks anew."""

import asyncio
from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.errors import KeyturnError, NotFound
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.store.approvals import claims, reassignment
from keyturn.orchestrator.store.approvals.errors import (
    AlreadyDecided,
    MayNotAssign,
    MayNotDecide,
    NobodyElse,
)
from keyturn.orchestrator.store.approvals.reassignment import Assigning
from keyturn.orchestrator.store.effects import undo
from keyturn.orchestrator.store.people import access
from keyturn.orchestrator.store.people.access import Change
from keyturn.orchestrator.store.tables import ApprovalRow, PersonRow
from tests.databases import both
from tests.orchestrator.store.desk import Desk, person, refund

PAIRS = 20
ABOVE = 100_00


async def assigning(desk: Desk, *, role: str = "agent", approvers: int = 1) -> None:
    """Make a release live whose refunds above an amount are assigned."""
    rules = (
        Rule("refund", up_to=Money(ABOVE, "USD"), approvers=1, role="agent"),
        Rule(
            "refund",
            approvers=approvers,
            role=role,  # pyright: ignore[reportArgumentType] one of the roles
            assign=True,
        ),
    )
    await desk.go_live(rules=rules)


async def waiting(desk: Desk, cents: int = ABOVE + 1, **more: object) -> ApprovalRow:
    run = await desk.start(**more)
    await desk.draft(run, refund(cents))
    return await offered(desk, run)


async def offered(desk: Desk, run: str) -> ApprovalRow:
    """Return the run's item once the web process has looked who decides it."""
    await Assigning().pass_over(desk.store)
    return await desk.approval(run, "pending")


async def hire(desk: Desk, name: str, role: str = "agent", **more: object) -> None:
    fields = {"id": name, "name": name.title(), "email": f"{name}@example.com"}
    row = PersonRow.model_validate(
        {**fields, "role": role, "created_at": desk.clock(), **more}
    )
    async with desk.store.write() as session:
        session.add(row)


async def reassign(
    desk: Desk, row: ApprovalRow, *, to: str | None = None, by: str = "lea"
) -> ApprovalRow:
    return await reassignment.reassign(
        desk.store, person(by), row.id, to=to, reason="so"
    )


async def test_p08_above_an_amount_whom_the_system_picked_decides_alone(
    desk: Desk,
) -> None:
    await assigning(desk)
    row = await waiting(desk)
    picked = row.assigned_to or ""
    [other] = {"amy", "bob"} - {picked} if picked in ("amy", "bob") else ["amy"]

    with pytest.raises(MayNotDecide, match="assigned it to another person"):
        await desk.answer(row, "approve", other)
    with pytest.raises(MayNotDecide, match="assigned it to another person"):
        await claims.claim(desk.store, person(other), row.id)
    assert (await desk.answer(row, "approve", picked)).status == "approved"


async def test_below_the_amount_everybody_decides(desk: Desk) -> None:
    await assigning(desk)
    row = await waiting(desk, ABOVE)

    assert row.assigned_to is None
    assert (await desk.answer(row, "approve", "amy")).status == "approved"


async def test_p08_of_what_is_assigned_nobody_names_who_decides(desk: Desk) -> None:
    await assigning(desk)
    row = await waiting(desk)

    with pytest.raises(MayNotAssign, match="assigned by the system"):
        await reassign(desk, row, to="amy")

    assert (await desk.approval(row.run)).assigned_to == row.assigned_to


async def test_p08_who_has_it_picked_again_is_not_picked_and_does_so_once(
    desk: Desk,
) -> None:
    await assigning(desk, role="lead")
    await hire(desk, "max", "admin")
    row = await waiting(desk)
    [asker, *_] = {"lea", "lou"} - {row.assigned_to}

    fresh = await reassign(desk, row, by=asker)

    assert fresh.assigned_to not in (row.assigned_to, asker, None)
    with pytest.raises(MayNotAssign, match="system assign it again"):
        await reassign(desk, row, by=asker)


async def test_p08_whose_yes_is_given_does_not_choose_the_second(desk: Desk) -> None:
    await assigning(desk, role="lead", approvers=2)
    row = await waiting(desk)
    first = row.assigned_to or ""

    row = await desk.answer(row, "approve", first)

    assert row.assigned_to not in (first, None)
    with pytest.raises(MayNotAssign, match="you must not choose the second person"):
        await reassign(desk, row, by=first)


async def test_p08_who_started_it_has_nothing_picked_again(desk: Desk) -> None:
    await assigning(desk)
    row = await waiting(desk, started_by="lea")

    with pytest.raises(MayNotAssign, match="started"):
        await reassign(desk, row)
    with pytest.raises(MayNotAssign, match="only a lead can"):
        await reassign(desk, row, by="amy")


async def test_p08_where_nobody_else_is_left_it_stays(desk: Desk) -> None:
    await assigning(desk, role="lead")
    row = await waiting(desk, started_by="lea")

    with pytest.raises(NobodyElse, match="Nobody else"):
        await reassignment.reassign(
            desk.store, person("max", role="admin"), row.id, to=None, reason="so"
        )

    assert (await desk.approval(row.run)).assigned_to == "lou"


@pytest.mark.parametrize("how", ["undo", "slip", "changes"])
async def test_p08_what_is_asked_anew_goes_to_whom_it_went_before(
    desk: Desk, how: str
) -> None:
    """Else an undo or a redraft would draw until the accomplice comes."""
    await assigning(desk)
    tools = tuple(
        spec.model_copy(update={"undo": timedelta(seconds=10)})
        for spec in desk.release.tools
    )
    rules = (Rule("refund", approvers=1, role="agent", assign=True),)
    await desk.go_live(rules=rules, tools=tools)
    for number in range(8):
        row = await waiting(desk, customer=f"c{number}")
        who = row.assigned_to or ""
        if how == "undo":
            await desk.answer(row, "reject", who)
            await undo.undo(desk.store, person("lou"), row.id, "again")
        elif how == "slip":
            await desk.answer(row, "approve", who)
            await undo.undo(desk.store, person(who), row.id, "again")
        else:
            await desk.answer(row, "change", who)
            desk.clock.go_on(timedelta(seconds=10))
            await desk.lease(row.run)
            await desk.draft(row.run, refund(ABOVE), turn=2)

        fresh = await offered(desk, row.run)
        assert (fresh.id, fresh.assigned_to) != (row.id, who)
        assert fresh.assigned_to == who


async def test_p08_a_language_of_ones_own_does_not_choose(desk: Desk) -> None:
    """Whoever starts a run names its language: one who alone reads it is no choice."""
    await assigning(desk)
    for name in ("amy", "bob"):
        async with desk.store.write() as session:
            row = await session.get(PersonRow, name)
            assert row is not None
            row.languages = ["fi"] if name == "amy" else ["en"]
    await hire(desk, "cat", languages=["en"])
    picked: set[str | None] = set()
    for number in range(20):
        item = await waiting(desk, customer=f"c{number}")
        await desk.tamper(item, language="fi", assigned_to=None)
        await reassignment.repair(desk.store)
        picked.add((await desk.approval(item.run)).assigned_to)

    assert len(picked) > 1


async def test_who_is_busy_is_spared(desk: Desk) -> None:
    await assigning(desk)
    for name in ("cat", "dan"):
        await hire(desk, name)
    for number in range(7):
        row = await waiting(desk, customer=f"busy{number}")
        await desk.tamper(row, assigned_to="amy")

    picked = {
        (await waiting(desk, customer=f"c{number}")).assigned_to for number in range(3)
    }

    assert "amy" not in picked


async def test_p08_a_lead_routes_an_item_to_who_may_decide_it(desk: Desk) -> None:
    row = await waiting(desk, ABOVE, started_by="bob")
    await claims.claim(desk.store, person("lou"), row.id)
    new = desk.clock() + timedelta(days=1)
    await hire(desk, "nia", approves_from=new)
    await hire(desk, "gone", disabled_at=desk.clock())
    await hire(desk, "tia", tenant="other")

    given = await reassign(desk, row, to="AMY@example.com ")

    assert (given.assigned_to, given.claimed_by) == ("amy", None)
    for who, why in {
        "bob": "started",
        "nia": "too new to approve",
        "gone": "closed",
        "tia": "another tenant",
    }.items():
        with pytest.raises(MayNotAssign, match=why):
            await reassign(desk, row, to=who)
    with pytest.raises(NotFound):
        await reassign(desk, row, to="nobody")
    # It is a hint: whoever may decide still may, so that nobody can hold it up.
    assert (await desk.answer(row, "approve", "lou")).status == "approved"


async def test_p08_another_tenants_lead_gives_nothing_away(desk: Desk) -> None:
    row = await waiting(desk, ABOVE)
    stranger = person("eve", role="lead", tenant="other")

    with pytest.raises(NotFound):
        await reassignment.reassign(desk.store, stranger, row.id, to=None, reason="so")
    assert (
        await reassignment.move_all(desk.store, stranger, "amy", to=None, reason="so")
        == []
    )


async def test_when_somebody_leaves_others_get_what_they_held(desk: Desk) -> None:
    await assigning(desk)
    await hire(desk, "cat")
    held = await waiting(desk, ABOVE, customer="held")
    await claims.claim(desk.store, person("amy"), held.id)
    routed = await waiting(desk, ABOVE, customer="routed")
    await reassign(desk, routed, to="amy")
    drawn = await waiting(desk, customer="drawn")
    await desk.tamper(drawn, assigned_to="amy")
    foreign = await waiting(desk, ABOVE, customer="own", started_by="cat")
    await claims.claim(desk.store, person("amy"), foreign.id)

    moved = dict(
        await reassignment.move_all(
            desk.store, person("lou"), "amy", to="cat", reason="she left"
        )
    )

    assert set(moved) == {held.id, routed.id, drawn.id, foreign.id}
    assert _assignee(moved[held.id]) == _assignee(moved[routed.id]) == "cat"
    assert _assignee(moved[drawn.id]) not in ("amy", "lou", None)
    assert isinstance(moved[foreign.id], MayNotAssign)


async def test_p08_a_closed_account_holds_nothing(desk: Desk) -> None:
    await assigning(desk)
    await hire(desk, "cat")
    held = await waiting(desk, ABOVE, customer="held")
    await claims.claim(desk.store, person("amy"), held.id)
    drawn = await waiting(desk, customer="drawn")
    await desk.tamper(drawn, assigned_to="amy")

    await access.disable(desk.store, "amy", by="lea")

    assert (await desk.approval(held.run)).claimed_by is None
    assert (await desk.approval(drawn.run)).assigned_to not in ("amy", "lea", None)


@pytest.mark.parametrize(
    "taken", [Change(is_open=False), Change(role="developer")], ids=["account", "role"]
)
async def test_p08_who_takes_the_second_person_away_has_no_yes_any_more(
    desk: Desk, taken: Change
) -> None:
    """Else an admin closes accounts until an accomplice is drawn."""
    await assigning(desk, approvers=2)
    await hire(desk, "ada", "admin")
    row = await waiting(desk)
    await desk.tamper(row, assigned_to="ada")
    row = await desk.answer(row, "approve", "ada")
    second = row.assigned_to or ""

    await access.change(desk.store, second, taken, by="ada")

    third = (await desk.approval(row.run)).assigned_to or ""
    assert third not in (second, "ada", "")
    row = await desk.answer(row, "approve", third)
    assert row.status == "pending"
    assert (await desk.lease(row.run)).kind == "waiting"
    row = await desk.answer(row, "approve", row.assigned_to or "")
    assert row.status == "approved"
    assert (await desk.lease(row.run)).grant is not None


async def test_p09_whom_the_system_picked_and_may_not_decide_is_replaced(
    desk: Desk,
) -> None:
    """A role that was lost, or a process that died after an account was closed."""
    await assigning(desk)
    row = await waiting(desk)
    gone = row.assigned_to or ""
    async with desk.store.write() as session:
        account = await session.get(PersonRow, gone)
        assert account is not None
        account.role = "auditor"

    assert await reassignment.repair(desk.store) == 1

    assert (await desk.approval(row.run)).assigned_to not in (gone, None)
    assert await reassignment.repair(desk.store) == 0


async def test_p09_what_nobody_could_be_picked_for_is_given_to_who_comes(
    desk: Desk,
) -> None:
    await assigning(desk, role="admin")
    row = await waiting(desk)
    assert row.assigned_to is None
    await hire(desk, "max", "admin")
    await reassignment.repair(desk.store)

    assert (await desk.approval(row.run)).assigned_to == "max"


@both
async def test_p08_picking_again_and_deciding_at_once_have_one_outcome(
    desk: Desk,
) -> None:
    await assigning(desk)
    await hire(desk, "cat")
    for number in range(PAIRS):
        row = await waiting(desk, customer=f"c{number}")
        who = row.assigned_to or ""

        decided, moved = await asyncio.gather(
            desk.answer(row, "approve", who),
            reassign(desk, row, by="lou" if who != "lou" else "lea"),
            return_exceptions=True,
        )

        if isinstance(decided, ApprovalRow):
            assert isinstance(moved, AlreadyDecided), moved
        else:
            assert isinstance(decided, MayNotDecide), decided
            assert _assignee(moved) not in (who, None)


def _assignee(came: ApprovalRow | KeyturnError | BaseException) -> str | None:
    assert isinstance(came, ApprovalRow), came
    return came.assigned_to
