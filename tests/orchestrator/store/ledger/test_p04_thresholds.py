"""P4: many small amounts are one big one, however they are spread or spelled."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import JsonValue

from keyturn.orchestrator.rules.money.budget import Limit
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.effects import resolution
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import EffectRow, PersonRow
from keyturn.orchestrator.store.turns.turn import DraftedCall
from tests.orchestrator.store.desk import Desk, note, open_desk, refund

DAY = timedelta(days=1)
SMALL = Rule("refund", up_to=Money(20_00, "USD"), verdict="allow")
ASK = Rule("refund", up_to=Money(5_000_00, "USD"), approvers=1)
EURO = Rule("refund", up_to=Money(20_00, "EUR"), verdict="allow")
ALLOW_ALL = Rule("refund", verdict="allow")
NOTES = Rule("set_note", verdict="allow")
SPELLED = {
    "space": " o1",
    "case": "O1",
    "wide": "\uff4f\uff11",
    "invisible": "o\u200b1",
    "long": "o1" + " " * 300,
}


@pytest.fixture
async def tiers(tables_url: str) -> AsyncIterator[Desk]:
    """A desk that allows 20 dollars and asks beyond; nothing limits it."""
    rules = (SMALL, ASK, EURO, NOTES)
    async with open_desk(tables_url, rules=rules, limits=()) as desk:
        yield desk


@pytest.mark.parametrize("state", ["leased", "sending", "unknown", "done"])
async def test_p04_what_may_have_moved_counts_in_every_state(
    tiers: Desk, state: str
) -> None:
    await bring(tiers, await drafted(tiers, 15_00), state)
    other = await drafted(tiers, 6_00, order="o2")

    answer = await tiers.lease(other, holder="h2")

    assert answer.kind == "waiting"
    assert (await tiers.approval(other)).rule == str(ASK)


async def test_p04_what_moved_counts_across_workflows_and_tenants(tiers: Desk) -> None:
    twin = tiers.release.model_copy(update={"workflow": "twin"})
    await releases.publish(tiers.store, twin, code_version="1", signer=tiers.signer)
    await tiers.do(await drafted(tiers, 15_00))
    there = await drafted(tiers, 6_00, order="o2", workflow="twin")
    elsewhere = await drafted(tiers, 6_00, order="o2", tenant="t2")

    assert (await tiers.lease(there, holder="h2")).kind == "waiting"
    assert (await tiers.lease(elsewhere, holder="h3")).kind == "waiting"


async def test_p04_what_another_tool_moved_counts(tiers: Desk) -> None:
    await tiers.go_live(rules=(*tiers.release.rules, Rule("pay", verdict="allow")))
    run = await tiers.start()
    paid = refund(15_00).model_copy(update={"tool": "pay"})
    await tiers.draft(run, paid)
    await tiers.do(run, preview="{}")
    other = await drafted(tiers, 6_00, order="o2")

    assert (await tiers.lease(other, holder="h2")).kind == "waiting"


async def test_p04_a_draft_is_judged_again_with_what_moved_since(tiers: Desk) -> None:
    drafts = [await drafted(tiers, 4_00, order=f"o{n}") for n in range(8)]

    kinds = [(await tiers.lease(run, holder=run)).kind for run in drafts]

    assert kinds == ["leased"] * 5 + ["waiting"] * 3


async def test_p04_money_in_another_currency_is_seen_by_a_person(tiers: Desk) -> None:
    await tiers.do(await drafted(tiers, 15_00))
    other = await tiers.start()
    await tiers.draft(other, in_euros(15_00, order="o2"))

    answer = await tiers.lease(other, holder="h2")

    assert answer.kind == "waiting"
    assert "another currency" in (await tiers.approval(other)).rule


async def test_p04_a_longer_window_of_the_live_release_counts(tiers: Desk) -> None:
    await tiers.do(await drafted(tiers, 15_00))
    tiers.clock.go_on(3 * DAY)
    other = await drafted(tiers, 6_00, order="o2")
    week = Limit(Money(1_000_00, "USD"), per="customer", within=7 * DAY)
    await tiers.go_live(limits=(week,))

    assert (await tiers.lease(other, holder="h2")).kind == "waiting"


@pytest.mark.parametrize("jump", [-30 * DAY, timedelta(hours=23)])
async def test_p04_a_clock_that_jumps_frees_nothing_early(
    tiers: Desk, jump: timedelta
) -> None:
    await tiers.do(await drafted(tiers, 15_00))
    # What is not sealed yet and dated ahead waits for its time.
    tiers.is_honest = jump > timedelta()
    tiers.clock.go_on(jump)
    other = await drafted(tiers, 6_00, order="o2")

    assert (await tiers.lease(other, holder="h2")).kind == "waiting"


async def test_p04_after_the_window_an_amount_is_judged_alone(tiers: Desk) -> None:
    await tiers.do(await drafted(tiers, 15_00))
    tiers.clock.go_on(DAY)
    other = await drafted(tiers, 6_00, order="o2")

    assert (await tiers.lease(other, holder="h2")).kind == "leased"


async def test_p04_what_is_recorded_late_counts_from_its_record(tiers: Desk) -> None:
    grant = await tiers.send(await drafted(tiers, 15_00))
    await tiers.record(grant, "unknown")
    tiers.clock.go_on(3 * DAY)
    found = Resolution(happened=True, evidence="seen", person="l", person_name="L")
    await resolution.resolve(tiers.store, grant.key, found)
    other = await drafted(tiers, 6_00, order="o2")

    assert (await tiers.lease(other, holder="h2")).kind == "waiting"


@pytest.mark.parametrize("order", SPELLED.values(), ids=list(SPELLED))
@pytest.mark.parametrize("state", ["leased", "sending", "unknown"])
async def test_p02_another_spelling_is_no_other_subject(
    tiers: Desk, order: str, state: str
) -> None:
    await bring(tiers, await drafted(tiers, 1_00), state)
    other = await drafted(tiers, 1_00, order=order, customer="c2")

    assert (await tiers.lease(other, holder="h2")).kind == "refused"


@pytest.mark.parametrize("order", SPELLED.values(), ids=list(SPELLED))
async def test_p02_a_second_action_asks_however_its_subject_is_spelled(
    tiers: Desk, order: str
) -> None:
    await tiers.do(await drafted(tiers, 1_00))
    other = await drafted(tiers, 1_00, order=order, customer="c2")

    assert (await tiers.lease(other, holder="h2")).kind == "waiting"
    assert (await tiers.approval(other)).rule.startswith("an earlier action")


async def test_p02_another_tool_on_the_same_subject_waits(tiers: Desk) -> None:
    await tiers.granted(await drafted(tiers, 1_00))
    run = await tiers.start(customer="c2")
    await tiers.draft(run, note(order="O1"))

    assert (await tiers.lease(run, holder="h2")).kind == "refused"


async def test_p04_a_tool_that_does_not_say_how_much_is_denied(tables_url: str) -> None:
    async with open_desk(tables_url, rules=(ALLOW_ALL,), limits=()) as desk:
        run = await drafted(desk, 1_00)

        answer = await desk.lease(run, money=None)

        assert answer.kind == "refused"
        assert "how much it would move" in str((await desk.call(run)).result)


async def test_p04_a_draft_without_its_amount_is_denied(tables_url: str) -> None:
    async with open_desk(tables_url, rules=(ALLOW_ALL,), limits=()) as desk:
        run = await desk.start()

        [gated] = await desk.draft(run, refund().model_copy(update={"money": None}))

        assert gated.gate == "denied"


async def test_p04_each_of_two_approvers_answers_for_the_whole_amount(
    tables_url: str,
) -> None:
    two = Rule("refund", approvers=2)
    limits = (Limit(Money(100_00, "USD"), per="approver"),)
    async with open_desk(tables_url, rules=(two,), limits=limits) as desk:
        kinds: list[str] = []
        pairs = [("amy", "bob"), ("bob", "lea"), ("lea", "lou")]
        for n, pair in enumerate(pairs):
            run = await drafted(desk, 60_00, order=f"o{n}", customer=f"c{n}")
            for who in pair:
                await desk.decide(run, who)
            kinds.append((await desk.lease(run, holder=run)).kind)

        assert kinds == ["leased", "refused", "leased"]


async def test_p04_an_editor_answers_for_what_they_approve(tables_url: str) -> None:
    limits = (Limit(Money(100_00, "USD"), per="approver"),)
    async with open_desk(tables_url, rules=(ASK,), limits=limits) as desk:
        kinds: list[str] = []
        asked: list[str] = []
        for n in range(2):
            run = await drafted(desk, 80_00, order=f"o{n}", customer=f"c{n}")
            await desk.decide(run, "amy", arguments=edited(60_00, f"o{n}"))
            kinds.append((await desk.lease(run, holder=run)).kind)
            asked.append((await desk.approval(run)).status)

        # The second edit is not lost: it is asked about again.
        assert kinds == ["leased", "waiting"]
        assert asked == ["approved", "pending"]
        assert len(await desk.rows(EffectRow)) == 1


async def test_p04_an_approver_does_not_answer_for_another_of_like_id(
    tables_url: str,
) -> None:
    limits = (Limit(Money(100_00, "USD"), per="approver"),)
    async with open_desk(tables_url, rules=(ASK,), limits=limits) as desk:
        like_amy = PersonRow(
            id="a_y",
            name="Ary",
            email="a_y@example.com",
            role="agent",
            created_at=desk.clock(),
        )
        await desk.tamper(like_amy)
        first = await drafted(desk, 80_00)
        await desk.decide(first, "amy")
        await desk.granted(first)
        second = await drafted(desk, 80_00, order="o2", customer="c2")
        await desk.decide(second, "a_y")

        assert (await desk.lease(second, holder="h2")).kind == "leased"


async def test_p04_an_edit_after_the_draft_is_reserved_as_it_is_done(
    tables_url: str,
) -> None:
    limits = (Limit(Money(100_00, "USD"), per="customer"),)
    async with open_desk(tables_url, rules=(ASK,), limits=limits) as desk:
        run = await drafted(desk, 50_00)
        await desk.decide(run, "amy", arguments=edited(120_00, "o1"))
        await desk.lease(run)
        await desk.decide(run, "bob")

        answer = await desk.lease(run)

        assert answer.kind == "waiting"
        assert (await desk.approval(run)).status == "pending"
        assert await desk.rows(EffectRow) == []


async def test_p04_a_workflows_limit_spans_tenants_and_tells_none_of_another(
    tables_url: str,
) -> None:
    limits = (Limit(Money(100_00, "USD"), per="workflow"),)
    async with open_desk(tables_url, rules=(ALLOW_ALL,), limits=limits) as desk:
        await desk.do(await drafted(desk, 81_00))
        other = await drafted(desk, 30_00, order="o2", tenant="t2")

        answer = await desk.lease(other, holder="h2")

        words = str((await desk.call(other)).result)
        assert answer.kind == "refused"
        assert "100.00 USD for this workflow" in words
        assert "19.00" not in words


async def test_p04_an_approvers_limit_names_nobody_to_the_model(
    tables_url: str,
) -> None:
    limits = (Limit(Money(10_00, "USD"), per="approver"),)
    async with open_desk(tables_url, rules=(ASK,), limits=limits) as desk:
        run = await drafted(desk, 80_00)
        await desk.decide(run, "amy")
        await desk.lease(run)

        words = str((await desk.call(run)).result)
        assert "for one approver" in words
        assert "amy" not in words


async def drafted(desk: Desk, cents: int, *, order: str = "o1", **more: str) -> str:
    """Start a run that drafts one refund, and return the run."""
    run = await desk.start(**more)
    await desk.draft(run, refund(cents, order=order))
    return run


async def bring(desk: Desk, run: str, state: str) -> None:
    """Bring the run's refund into a state."""
    grant = await desk.granted(run)
    if state != "leased":
        assert (await desk.begin(grant)).may_send
    if state in ("unknown", "done"):
        await desk.record(grant, state)


def in_euros(cents: int, *, order: str) -> DraftedCall:
    """Return a drafted refund in euros."""
    arguments = canonical.text(edited(cents, order, "EUR"))
    update = {"arguments": arguments, "money": Money(cents, "EUR")}
    return refund(order=order).model_copy(update=update)


def edited(cents: int, order: str, currency: str = "USD") -> dict[str, JsonValue]:
    """Return a refund's arguments."""
    money: JsonValue = {"amount": cents, "currency": currency}
    return {"order_id": order, "amount": money, "reason": "late"}
