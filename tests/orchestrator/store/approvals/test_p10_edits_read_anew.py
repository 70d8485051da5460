"""P10: an edit's facts, money and verdict are read anew before it is approved.

The web process reaches no service. What a person edits is read again by the effect
worker: `desk.lease` stands for one look of it, with the facts that it then reads.
"""

from collections.abc import AsyncIterator

import pytest
from pydantic import JsonValue

from keyturn.orchestrator.rules.contract.release import COMPUTED
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.approvals import edit_drafts
from keyturn.orchestrator.store.approvals.errors import MayNotDecide, StaleBinding
from keyturn.orchestrator.store.effects import undo
from keyturn.orchestrator.store.tables import ApprovalRow, DraftRow, EffectRow
from tests.orchestrator.store.desk import FACTS, Desk, open_desk, person, refund

OTHER = FACTS.replace("delivered", "returned")


@pytest.fixture
async def counting(tables_url: str) -> AsyncIterator[Desk]:
    """A desk whose refund works out its money by code, as the worker alone can."""
    async with open_desk(tables_url) as made:
        tools = tuple(
            one.model_copy(update={"money": COMPUTED}) if one.name == "refund" else one
            for one in made.release.tools
        )
        made.release = await made.go_live(tools=tools)
        yield made


async def test_p10_the_second_person_sees_the_facts_of_the_edit(desk: Desk) -> None:
    run = await _drafted(desk)
    await desk.decide(run, "amy", arguments=_asking(90_00))
    unread = await desk.approval(run, "pending")
    with pytest.raises(StaleBinding, match="read again after an edit"):
        await desk.answer(unread, "approve", "bob", binding="0" * 64)

    assert (await desk.lease(run, preview=OTHER)).kind == "waiting"
    shown = await desk.approval(run, "pending")
    await desk.decide(run, "bob")
    await desk.do(run, preview=OTHER)

    (effect,) = await desk.rows(EffectRow, run=run)
    assert (unread.preview, shown.preview) == (None, OTHER)
    assert (effect.status, effect.amount, effect.approvers) == ("done", 90_00, ["bob"])


async def test_p10_a_yes_to_less_counts_for_the_facts_it_was_made_on(
    desk: Desk,
) -> None:
    run = await _drafted(desk)
    row = await desk.decide(run, "amy", arguments=_asking(40_00))

    assert row.status == "approved"
    assert (await desk.lease(run)).kind == "leased"


async def test_p10_a_yes_to_less_is_asked_again_where_its_facts_are_others(
    desk: Desk,
) -> None:
    run = await _drafted(desk)
    await desk.decide(run, "amy", arguments=_asking(40_00))

    looked = await desk.lease(run, preview=OTHER)
    again = await desk.approval(run, "pending")
    await desk.decide(run, "amy")
    await desk.do(run, preview=OTHER)

    (effect,) = await desk.rows(EffectRow, run=run)
    assert (looked.kind, again.preview, again.not_by) == ("waiting", OTHER, [])
    assert canonical.parse(again.arguments) == _asking(40_00)
    assert (effect.status, effect.amount) == ("done", 40_00)


async def test_p10_the_facts_of_an_edit_that_change_later_are_asked_again(
    desk: Desk,
) -> None:
    run = await _drafted(desk)
    await desk.decide(run, "amy", arguments=_asking(90_00))
    await desk.lease(run)
    await desk.decide(run, "bob")

    looked = await desk.lease(run, preview=OTHER)

    again = await desk.approval(run, "pending")
    assert (looked.kind, again.preview, again.not_by) == ("waiting", OTHER, ["amy"])
    assert (await desk.call(run)).status == "open"


@pytest.mark.parametrize("facts", [FACTS, OTHER], ids=["same", "other"])
async def test_p10_ones_own_yes_of_two_counts_for_the_same_facts_alone(
    desk: Desk, facts: str
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(600_00))
    await desk.decide(run, "lea", arguments=_asking(590_00))

    await desk.lease(run, preview=facts)
    await desk.decide(run, "lou")

    looked = await desk.lease(run, preview=facts)
    if facts == FACTS:
        assert looked.kind == "leased"
    else:
        assert looked.kind == "waiting"
        await desk.decide(run, "lea")
        assert (await desk.lease(run, preview=facts)).kind == "leased"


async def test_p10_money_that_code_works_out_is_seen_before_it_is_approved(
    counting: Desk,
) -> None:
    run = await _drafted(counting)
    await counting.decide(run, "amy", arguments=_asking(50_00, order="o2"))

    await counting.lease(run, money=Money(70_00, "USD"))
    shown = await counting.approval(run, "pending")
    await counting.decide(run, "bob")
    await counting.do(run, money=Money(70_00, "USD"))

    (effect,) = await counting.rows(EffectRow, run=run)
    assert (shown.amount, effect.status, effect.amount) == (70_00, "done", 70_00)


async def test_p10_other_words_that_move_more_money_need_another_person(
    counting: Desk,
) -> None:
    run = await _drafted(counting)
    await counting.decide(run, "amy", arguments=_asking(50_00, reason="twice"))

    looked = await counting.lease(run, money=Money(100_00, "USD"))

    again = await counting.approval(run, "pending")
    assert (looked.kind, again.amount, again.not_by) == ("waiting", 100_00, ["amy"])
    with pytest.raises(MayNotDecide):
        await counting.decide(run, "amy")
    await counting.decide(run, "bob")
    assert (await counting.lease(run, money=Money(100_00, "USD"))).kind == "leased"


async def test_p10_other_words_that_move_no_more_money_stay_ones_own(
    counting: Desk,
) -> None:
    run = await _drafted(counting)
    await counting.decide(run, "amy", arguments=_asking(50_00, reason="half"))

    await counting.lease(run, money=Money(25_00, "USD"))
    await counting.decide(run, "amy")

    assert (await counting.lease(run, money=Money(25_00, "USD"))).kind == "leased"


async def test_p10_more_money_than_was_thought_asks_those_whom_policy_names(
    counting: Desk,
) -> None:
    run = await _drafted(counting)
    await counting.decide(run, "amy", arguments=_asking(50_00, order="o2"))

    await counting.lease(run, money=Money(900_00, "USD"))

    shown = await counting.approval(run, "pending")
    assert (shown.needed, shown.role, shown.amount) == (2, "lead", 900_00)


@pytest.mark.parametrize("cents", [40_00, 90_00], ids=["own", "for-another"])
async def test_p10_an_edit_whose_facts_cannot_be_read_loses_no_work(
    desk: Desk, cents: int
) -> None:
    run = await _drafted(desk)
    item = await desk.approval(run)
    await _save(desk, item.id)
    await desk.decide(run, "amy", arguments=_asking(cents))
    await edit_drafts.use(desk.store, item.id, person="amy")

    answer = await desk.give_up(run, "There is no order o9.")

    again = await desk.approval(run, "pending")
    void = next(one for one in await _all(desk, run) if one.status == "void")
    kept = [one.person for one in await desk.rows(DraftRow, approval=again.id)]
    assert (answer.kind, (await desk.call(run)).status) == ("waiting", "open")
    assert (again.arguments, again.preview) == (item.arguments, FACTS)
    assert (again.amount, again.not_by, kept) == (50_00, [], ["amy"])
    assert "There is no order o9." in str(
        [a.closed_because for a in await _all(desk, run)]
    )
    assert void.id != again.id


async def test_p10_after_an_edit_that_cannot_be_done_what_was_drafted_can(
    desk: Desk,
) -> None:
    run = await _drafted(desk)
    await desk.decide(run, "amy", arguments=_asking(90_00, order="o9"))
    await desk.give_up(run, "There is no order o9.")

    await desk.decide(run, "amy")
    grant = await desk.do(run)

    (effect,) = await desk.rows(EffectRow, run=run)
    assert (effect.status, effect.amount, effect.subject) == (
        "done",
        50_00,
        "order_id=o1",
    )
    assert canonical.parse(grant.arguments) == _asking(50_00)


async def test_p10_an_edit_that_policy_denies_by_its_fresh_money_loses_no_work(
    counting: Desk,
) -> None:
    run = await _drafted(counting)
    item = await counting.approval(run)
    await counting.decide(run, "amy", arguments=_asking(50_00, order="o2"))

    answer = await counting.lease(run, money=Money(9_000_00, "USD"))

    again = await counting.approval(run, "pending")
    assert (answer.kind, again.arguments) == ("waiting", item.arguments)
    assert "not allowed" in str([a.closed_because for a in await _all(counting, run)])


async def test_p10_what_was_drafted_and_is_denied_ends_however_often_it_was_edited(
    desk: Desk,
) -> None:
    run = await _drafted(desk)
    await desk.decide(run, "amy", arguments=_asking(90_00))
    await desk.go_live(rules=(Rule("set_note", verdict="allow"),))

    first, second = await desk.lease(run), await desk.lease(run)

    assert (first.kind, second.kind) == ("waiting", "refused")
    assert (await desk.call(run)).status == "denied"


async def test_p10_edits_of_edits_that_cannot_be_done_end_at_the_draft(
    desk: Desk,
) -> None:
    """Each goes back to what it replaced, and never to what could not be done."""
    run = await _drafted(desk)
    await desk.decide(run, "amy", arguments=_asking(50_00, order="o2"))
    await desk.lease(run)
    await desk.decide(run, "bob", arguments=_asking(50_00, order="o3"))

    asked = [
        (await desk.give_up(run)).kind,
        canonical.parse((await desk.approval(run, "pending")).arguments),
        (await desk.give_up(run)).kind,
        canonical.parse((await desk.approval(run, "pending")).arguments),
    ]
    last = await desk.give_up(run)

    second, first = _asking(50_00, order="o2"), _asking(50_00)
    assert asked == ["waiting", second, "waiting", first]
    assert (last.kind, (await desk.call(run)).status) == ("failed", "failed")


async def test_p10_an_edit_back_to_the_draft_that_cannot_be_done_loses_no_edit(
    desk: Desk,
) -> None:
    run = await _drafted(desk)
    await desk.decide(run, "amy", arguments=_asking(50_00, order="o2"))
    await desk.lease(run)
    await desk.decide(run, "bob", arguments=_asking(50_00))

    await desk.give_up(run)

    again = await desk.approval(run, "pending")
    assert canonical.parse(again.arguments) == _asking(50_00, order="o2")


async def test_p10_an_edit_that_nobody_could_approve_does_not_run_out(
    desk: Desk,
) -> None:
    """No worker read its facts in its time: people have all of it from then on."""
    run = await _drafted(desk)
    await desk.decide(run, "amy", arguments=_asking(90_00))
    asked = await desk.approval(run, "pending")
    given = asked.answer_by - asked.created_at
    desk.clock.go_on(given * 2)

    looked = await desk.lease(run)
    row = await desk.decide(run, "bob")

    assert (looked.kind, row.status) == ("waiting", "approved")
    assert row.answer_by - desk.clock.at > given * 0.9
    assert (await desk.lease(run)).kind == "leased"


async def test_p10_an_edit_that_nobody_answers_runs_out(desk: Desk) -> None:
    run = await _drafted(desk)
    await desk.decide(run, "amy", arguments=_asking(90_00))
    await desk.lease(run)
    asked = await desk.approval(run, "pending")
    desk.clock.go_on((asked.answer_by - asked.created_at) * 2)

    assert (await desk.lease(run)).kind == "expired"


@pytest.mark.parametrize("way", ["limit", "busy"])
async def test_p10_an_edit_that_finds_no_room_loses_no_work(
    desk: Desk, way: str
) -> None:
    """A limit has no room for it, or its other subject is not free."""
    other = await desk.start()
    await desk.draft(other, refund(450_00, order="o2"))
    await desk.decide(other, "bob")
    await desk.send(other)
    run = await _drafted(desk)
    edited = _asking(560_00) if way == "limit" else _asking(50_00, order="o2")
    await desk.decide(run, "amy", arguments=edited)
    await desk.lease(run)
    for who in ("lea", "lou") if way == "limit" else ("bob",):
        await desk.decide(run, who)

    answer = await desk.lease(run, holder="h2")

    again = await desk.approval(run, "pending")
    assert (answer.kind, (await desk.call(run)).status) == ("waiting", "open")
    assert canonical.parse(again.arguments) == _asking(50_00)
    assert await desk.rows(EffectRow, run=run) == []


async def test_p10_an_edit_taken_back_asks_for_what_was_drafted(desk: Desk) -> None:
    run = await _drafted(desk)
    row = await desk.decide(run, "amy", arguments=_asking(40_00))
    await desk.tamper(row, undo_until=desk.clock.at.replace(hour=23))

    fresh = await undo.undo(desk.store, person("amy"), row.id, "slip")

    assert (fresh.edited_by, fresh.amount) == (None, 50_00)


async def _drafted(desk: Desk) -> str:
    run = await desk.start()
    await desk.draft(run, refund(50_00))
    return run


async def _save(desk: Desk, approval: str) -> None:
    form = {"/amount": ["40.00"]}
    await edit_drafts.save(desk.store, approval, person="amy", tenant=None, form=form)


async def _all(desk: Desk, run: str) -> list[ApprovalRow]:
    return await desk.rows(ApprovalRow, run=run)


def _asking(
    cents: int, *, order: str = "o1", reason: str = "late"
) -> dict[str, JsonValue]:
    amount: JsonValue = {"amount": cents, "currency": "USD"}
    return {"order_id": order, "amount": amount, "reason": reason}
