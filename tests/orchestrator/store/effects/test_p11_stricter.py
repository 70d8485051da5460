"""P11: what became stricter holds for what waits and what is approved; looser never."""

from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import ApprovalRow, EffectRow
from tests.orchestrator.store.desk import Desk, refund

TWO = Rule("refund", approvers=2)
LEAD = Rule("refund", approvers=1, role="lead")
PICKED = Rule("refund", approvers=1, assign=True)
NONE = Rule("refund", verdict="deny")
ALLOW = Rule("refund", verdict="allow")
ASK = Rule("refund", approvers=1)
STRICTER = {
    "more people": (TWO, 2, "agent", False),
    "a higher role": (LEAD, 1, "lead", False),
    "picked by the system": (PICKED, 1, "agent", True),
}


@pytest.mark.parametrize("state", ["waiting", "approved"])
@pytest.mark.parametrize("stricter", STRICTER.values(), ids=list(STRICTER))
async def test_p11_a_stricter_rule_asks_again(
    desk: Desk, stricter: tuple[Rule, int, str, bool], state: str
) -> None:
    rule, needed, role, assign = stricter
    run = await desk.approved() if state == "approved" else await waiting(desk)
    await desk.go_live(rules=(rule,))

    answer = await desk.lease(run)

    asked = await desk.approval(run, "pending")
    assert (answer.kind, answer.grant) == ("waiting", None)
    assert (asked.revision, asked.needed, asked.role) == (1, needed, role)
    assert asked.verdict["assign"] == assign
    assert await because(desk, run) == ["the policy became stricter"]
    assert await desk.rows(EffectRow) == []


@pytest.mark.parametrize("state", ["waiting", "approved", "allowed"])
async def test_p11_a_denial_ends_what_waits_and_what_is_approved(
    desk: Desk, state: str
) -> None:
    run = await at(desk, state)
    await desk.go_live(rules=(NONE,))

    answer = await desk.lease(run)

    assert answer.kind == "refused"
    assert (await desk.call(run)).status == "denied"
    assert await desk.rows(EffectRow) == []


async def test_p11_what_was_allowed_asks_where_the_live_rule_asks(desk: Desk) -> None:
    run = await at(desk, "allowed")
    await desk.go_live(rules=(LEAD,))

    answer = await desk.lease(run)

    assert answer.kind == "waiting"
    assert (await desk.approval(run, "pending")).role == "lead"


async def test_p11_a_switch_asks_for_what_was_allowed(desk: Desk) -> None:
    run = await at(desk, "allowed")
    await desk.switch("require_approval", tool="refund")

    answer = await desk.lease(run)

    assert answer.kind == "waiting"
    assert (await desk.approval(run, "pending")).rule == "switch s1: look"


async def test_p11_a_cleared_switch_does_not_release_what_it_asked(desk: Desk) -> None:
    run = await at(desk, "allowed")
    await desk.switch("require_approval", tool="refund")
    await desk.lease(run)
    await switches.clear(desk.store, "s1", by="lea", reason="over")

    answer = await desk.lease(run)

    assert (answer.kind, answer.grant) == ("waiting", None)
    await desk.decide(run)
    assert (await desk.lease(run)).kind == "leased"


async def test_p11_a_switch_keeps_the_people_that_a_rule_asks(desk: Desk) -> None:
    run = await waiting(desk, 600_00)
    await desk.switch("require_approval", tool="refund")
    await desk.decide(run, "lea")

    await desk.lease(run)

    asked = await desk.approval(run, "pending")
    assert (asked.revision, asked.needed, asked.role) == (0, 2, "lead")


@pytest.mark.parametrize("looser", [ALLOW, ASK], ids=["allow", "fewer people"])
async def test_p11_a_looser_rule_releases_nothing_that_waits(
    desk: Desk, looser: Rule
) -> None:
    run = await waiting(desk, 600_00)
    await desk.decide(run, "lea")
    await desk.go_live(rules=(looser,))

    answer = await desk.lease(run)

    assert (answer.kind, answer.grant) == ("waiting", None)
    assert (await desk.approval(run, "pending")).needed == 2


async def test_p11_a_looser_rule_allows_nothing_that_its_own_release_denies(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.go_live(rules=(ALLOW,))

    [gated] = await desk.draft(run, refund(6_000_00))

    assert gated.gate == "denied"


async def test_p11_a_rule_that_came_and_went_does_not_release_what_it_asked(
    desk: Desk,
) -> None:
    run = await at(desk, "allowed")
    await desk.go_live(rules=(TWO,))
    await desk.lease(run)
    await desk.decide(run, "amy")
    await desk.go_live(rules=(ALLOW,))

    first = await desk.lease(run)
    await desk.decide(run, "bob")

    assert first.kind == "waiting"
    assert (await desk.lease(run)).kind == "leased"


async def test_p11_who_said_yes_before_is_asked_anew_like_all_others(
    desk: Desk,
) -> None:
    run = await desk.approved()
    await desk.go_live(rules=(TWO,))
    await desk.lease(run)
    await desk.decide(run, "amy")

    after_one = await desk.lease(run)
    await desk.decide(run, "bob")

    assert after_one.kind == "waiting"
    assert (await desk.lease(run)).kind == "leased"


async def test_p11_a_run_stays_on_its_release_where_the_live_one_is_no_stricter(
    desk: Desk,
) -> None:
    run = await desk.approved(50_00)
    same = Rule("refund", up_to=Money(900_00, "USD"), approvers=1)
    await desk.go_live(rules=(same,))
    fresh = await desk.start(customer="c2")

    assert (await desk.lease(run)).kind == "leased"
    assert (await desk.run(run)).release == desk.release.hash()
    assert (await desk.run(fresh)).release != desk.release.hash()


async def test_p11_a_rule_on_a_field_that_came_later_counts_as_its_own(
    desk: Desk,
) -> None:
    run = await at(desk, "allowed")
    on_new_field = Rule("refund", when={"channel": "wire"}, approvers=1, role="lead")
    await desk.go_live(rules=(on_new_field, ALLOW))

    answer = await desk.lease(run)

    assert answer.kind == "waiting"
    assert (await desk.approval(run, "pending")).role == "lead"


async def test_p11_a_shorter_time_to_answer_asks_nobody_anew(desk: Desk) -> None:
    run = await waiting(desk)
    soon = Rule("refund", approvers=1, within=timedelta(minutes=1))
    await desk.go_live(rules=(soon,))

    await desk.lease(run)

    assert (await desk.approval(run, "pending")).revision == 0


async def waiting(desk: Desk, cents: int = 50_00) -> str:
    """Return a run whose refund waits for people."""
    run = await desk.start()
    await desk.draft(run, refund(cents))
    return run


async def at(desk: Desk, state: str) -> str:
    """Return a run whose refund waits, is approved, or is allowed by its rule."""
    if state == "approved":
        return await desk.approved()
    return await waiting(desk, 5_00 if state == "allowed" else 50_00)


async def because(desk: Desk, run: str) -> list[str | None]:
    """Return why the run's approvals were closed."""
    found = await desk.rows(ApprovalRow, run=run)
    return [one.closed_because for one in found if one.status == "void"]


async def test_p11_a_stricter_policy_asks_again_for_what_is_approved(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    await desk.go_live(rules=(Rule("refund", approvers=2, role="lead"),))

    answer = await desk.lease(run)

    fresh = await desk.approval(run, "pending")
    assert answer.kind == "waiting"
    assert (fresh.needed, fresh.role) == (2, "lead")


async def test_p11_a_stricter_policy_asks_again_for_what_waits(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.go_live(rules=(Rule("refund", approvers=2, role="lead"),))

    await desk.lease(run)

    assert (await desk.approval(run, "pending")).needed == 2


async def test_p11_a_looser_policy_releases_nothing(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.go_live(rules=(Rule("refund", verdict="allow"),))

    assert (await desk.lease(run)).kind == "waiting"


async def test_p11_a_policy_that_denies_closes_what_is_approved(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    await desk.go_live(rules=(Rule("set_note", verdict="allow"),))

    answer = await desk.lease(run)

    assert answer.kind == "refused"
    assert (await desk.approval(run)).status == "void"
    assert (await desk.call(run)).status == "denied"
