"""The daily matching: differences become incidents, once; books that are away do not."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from keyturn.activities.reconciliation import MISSES, MOST_INCIDENTS, SETTLE, Matcher
from keyturn.orchestrator.rules.contract.connector import mail_name
from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.money.reconciliation import (
    BooksAway,
    BooksUnusable,
    Line,
    MailEntry,
)
from keyturn.orchestrator.store.effects import resolution, send
from keyturn.orchestrator.store.incidents import incidents, statement
from keyturn.orchestrator.store.ledger.effects import Outcome
from keyturn.orchestrator.store.tables import EffectRow, IncidentRow, MatchingRow
from tests.orchestrator.store.desk import Desk, mail, refund


@dataclass
class Bank:
    """A statement and a mail log that a test writes."""

    kept: list[Line] = field(default_factory=list[Line])
    mailed: list[MailEntry] = field(default_factory=list[MailEntry])
    fault: KeyturnError | None = None
    asked: list[datetime] = field(default_factory=list)

    async def lines(self, since: datetime) -> list[Line]:
        self.asked.append(since)
        if self.fault is not None:
            raise self.fault
        return [one for one in self.kept if one.at >= since]

    async def mails(self, since: datetime) -> list[MailEntry]:
        return [one for one in self.mailed if one.at >= since]

    def pay(self, key: str, at: datetime, cents: int = 50_00, **more: object) -> None:
        fields = {
            "reference": f"R-{len(self.kept) + 1}",
            "key": key,
            "money": Money(cents, "USD"),
            "status": "paid",
            "at": at,
            **more,
        }
        self.kept.append(Line.model_validate(fields))


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def matcher(desk: Desk, bank: Bank) -> Matcher:
    return Matcher(desk.store, bank, None, holder="w1")


async def refunded(desk: Desk, bank: Bank | None, order: str = "o1") -> str:
    """Do a refund, which the bank books; return its key."""
    run = await desk.start()
    await desk.draft(run, refund(50_00, order=order))
    await desk.decide(run, "lea")
    grant = await desk.do(run)
    if bank is not None:
        bank.pay(grant.key, desk.clock.at)
    return grant.key


async def match(desk: Desk, matcher: Matcher) -> MatchingRow:
    """Ask for a matching and let the worker do it."""
    await statement.ask(desk.store, by="lea")
    done = await matcher.match_due()
    assert done is not None
    return done


async def test_books_that_agree_open_nothing(
    desk: Desk, bank: Bank, matcher: Matcher
) -> None:
    await refunded(desk, bank)
    desk.clock.go_on(timedelta(hours=1))

    row = await match(desk, matcher)

    assert row.status == "matched"
    assert row.statement is not None
    assert (row.statement["read"], row.statement["differing"]) == (1, 0)
    assert row.mail is not None
    assert "No mail log is configured" in row.mail["words"]
    assert await desk.rows(IncidentRow) == []


async def test_difference_is_one_incident_over_days_and_workers(
    desk: Desk, bank: Bank, matcher: Matcher
) -> None:
    await refunded(desk, None)
    bank.pay("somebody", desk.clock.at)
    other = Matcher(desk.store, bank, None, holder="w2")

    for _ in range(3):
        desk.clock.go_on(timedelta(days=1, minutes=11))
        await matcher.match_due()
        desk.clock.go_on(timedelta(minutes=11))
        await match(desk, other)

    sources = sorted(one.source for one in await desk.rows(IncidentRow))
    assert [one.split(":")[1] for one in sources] == ["missing", "stranger"]
    assert {one.status for one in await desk.rows(IncidentRow)} == {"open"}


async def test_closed_difference_stays_closed(
    desk: Desk, bank: Bank, matcher: Matcher
) -> None:
    bank.pay("somebody", desk.clock.at)
    await match(desk, matcher)
    [row] = await desk.rows(IncidentRow)
    await incidents.close(desk.store, row.id, by="lea", reason="Known.", tenant=None)

    again = await match(desk, matcher)

    assert again.statement is not None
    assert again.statement["differing"] == 1
    assert [one.status for one in await desk.rows(IncidentRow)] == ["closed"]


@pytest.mark.parametrize("age", [timedelta(0), SETTLE - timedelta(minutes=1)])
async def test_what_was_done_just_now_may_be_missing(
    desk: Desk, matcher: Matcher, age: timedelta
) -> None:
    await refunded(desk, None)
    desk.clock.go_on(age)

    await match(desk, matcher)

    assert await desk.rows(IncidentRow) == []


async def test_effects_that_are_open_are_no_differences(
    desk: Desk, bank: Bank, matcher: Matcher
) -> None:
    sending_ = await desk.send(await desk.approved())
    run = await desk.start()
    await desk.draft(run, refund(50_00, order="o2"))
    await desk.decide(run, "lea")
    unknown = await desk.send(run)
    await desk.record(unknown, "unknown")
    for grant in (sending_, unknown):
        bank.pay(grant.key, desk.clock.at)
    desk.clock.go_on(timedelta(hours=2))

    await match(desk, matcher)

    assert await desk.rows(IncidentRow) == []


async def test_effect_that_was_unknown_for_weeks_is_looked_for_far_back(
    desk: Desk, bank: Bank, matcher: Matcher
) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    bank.pay(grant.key, desk.clock.at)
    await desk.record(grant, "unknown")
    desk.clock.go_on(timedelta(days=30))
    await send.record(desk.store, grant, Outcome(kind="done", words="ok"))
    desk.clock.go_on(timedelta(hours=1))

    row = await match(desk, matcher)

    assert row.statement is not None
    assert (row.statement["read"], row.statement["differing"]) == (1, 0)


async def test_line_at_the_edge_of_the_window_is_no_stranger(
    desk: Desk, bank: Bank, matcher: Matcher
) -> None:
    await refunded(desk, bank)
    desk.clock.go_on(statement.LOOK_BACK)

    row = await match(desk, matcher)

    assert row.statement is not None
    assert (row.statement["read"], row.statement["differing"]) == (1, 0)


async def test_days_without_a_worker_are_looked_at_afterwards(
    desk: Desk, bank: Bank, matcher: Matcher
) -> None:
    await match(desk, matcher)
    last = desk.clock.at
    desk.clock.go_on(timedelta(days=60))

    await match(desk, matcher)

    assert bank.asked[-1] < last - timedelta(days=6)


async def test_refund_that_was_reversed_reopens_its_item(
    desk: Desk, bank: Bank, matcher: Matcher
) -> None:
    key = await refunded(desk, bank)
    desk.clock.go_on(timedelta(days=2))
    bank.kept[0] = bank.kept[0].model_copy(
        update={"status": "reversed", "at": desk.clock.at, "words": "Account closed"}
    )

    await match(desk, matcher)
    await match(desk, matcher)

    effect = await desk.effect(key)
    [incident] = await desk.rows(IncidentRow)
    assert (effect.status, effect.reopened_at is not None) == ("done", True)
    assert "Account closed" in incident.detail["words"]


async def test_person_who_recorded_wrongly_is_found_out(
    desk: Desk, bank: Bank, matcher: Matcher
) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    bank.pay(grant.key, desk.clock.at)
    await desk.record(grant, "unknown")
    lie = resolution.Resolution(
        happened=False, evidence="I looked.", person="lea", person_name="Lea"
    )
    desk.clock.go_on(timedelta(minutes=1))
    await resolution.resolve(desk.store, grant.key, lie)
    desk.clock.go_on(timedelta(hours=1))

    await match(desk, matcher)

    [incident] = await desk.rows(IncidentRow)
    assert incident.source.startswith("statement:unsent:")
    assert incident.severity == "critical"


async def test_statement_of_another_account_is_one_incident_and_reopens_nothing(
    desk: Desk, bank: Bank, matcher: Matcher
) -> None:
    key = await refunded(desk, None)
    bank.pay(key, desk.clock.at, status="failed")
    for number in range(MOST_INCIDENTS):
        bank.pay(f"other-{number}", desk.clock.at)
    desk.clock.go_on(timedelta(hours=1))

    await match(desk, matcher)
    row = await match(desk, matcher)

    [incident] = await desk.rows(IncidentRow)
    assert f"in {MOST_INCIDENTS + 1} places" in incident.title
    assert (await desk.effect(key)).reopened_at is None
    assert row.statement is not None
    assert row.statement["differing"] == MOST_INCIDENTS + 1


@pytest.mark.parametrize("fault", [BooksAway("It is away."), BooksUnusable("Garbage.")])
async def test_books_that_cannot_be_read_are_tried_again_and_then_an_incident(
    desk: Desk, bank: Bank, matcher: Matcher, fault: KeyturnError
) -> None:
    bank.fault = fault
    await refunded(desk, None)
    desk.clock.go_on(timedelta(hours=1))
    opened: list[int] = []

    for _ in range(MISSES + 2):
        row = await matcher.match_due()
        assert row is not None
        assert row.statement is not None
        assert row.statement["words"] == str(fault)
        assert await matcher.match_due() is None
        desk.clock.go_on(statement.AGAIN)
        opened.append(len(await desk.rows(IncidentRow)))

    assert opened == [0] * (MISSES - 1) + [1] * 3
    [incident] = await desk.rows(IncidentRow)
    assert str(fault) in incident.detail["words"]


async def test_one_worker_at_a_time_matches(
    desk: Desk, bank: Bank, matcher: Matcher
) -> None:
    other = Matcher(desk.store, bank, None, holder="w2")

    assert await matcher.match_due() is not None
    await statement.ask(desk.store, by="lea")

    assert await other.match_due() is None
    assert await matcher.match_due() is not None


async def test_matching_that_its_worker_died_over_is_done_again(
    desk: Desk, matcher: Matcher
) -> None:
    asked = await statement.ask(desk.store, by="lea")
    await statement.begin(desk.store)

    done = await matcher.match_due()

    assert done is not None
    assert (done.id, done.status) == (asked.id, "matched")
    assert len(await desk.rows(MatchingRow)) == 1


async def test_nothing_configured_is_said_and_not_scheduled(desk: Desk) -> None:
    bare = Matcher(desk.store, None, None)

    assert await bare.match_due() is None
    row = await match(desk, bare)

    assert row.status == "failed"
    assert row.statement is not None
    assert "KEYTURN_STATEMENT_URL" in row.statement["words"]
    assert await desk.rows(IncidentRow) == []


async def mailed(desk: Desk) -> str:
    run = await desk.start()
    await desk.draft(run, mail())
    await desk.decide(run, "amy")
    grant = await desk.send(run)
    receipt = {"message_id": f"<{mail_name(grant.key)}@shop.example>"}
    outcome = Outcome.model_validate(
        {"kind": "done", "words": "ok", "receipt": receipt}
    )
    await send.record(desk.store, grant, outcome)
    return grant.key


async def test_mails_are_matched_with_the_log(desk: Desk, bank: Bank) -> None:
    matcher = Matcher(desk.store, None, bank)
    kept, lost = await mailed(desk), await mailed(desk)
    for key in (kept, "nobody"):
        name = f"<{mail_name(key)}@shop.example>"
        bank.mailed.append(MailEntry(message_id=name, at=desk.clock.at))
    desk.clock.go_on(timedelta(hours=1))

    row = await match(desk, matcher)

    assert row.mail is not None
    found = {(one["kind"], one["key"]) for one in row.mail["differences"]}
    assert found == {("missing", lost), ("stranger", mail_name("nobody"))}
    assert len(await desk.rows(EffectRow)) == 2
