"""Where the ledger and the books differ, line by line."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.orchestrator.rules.contract.connector import mail_name
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.money.reconciliation import (
    BooksUnusable,
    Entry,
    Line,
    MailEntry,
    match_mails,
    match_statement,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def line(key: str = "k1", **more: Any) -> Line:
    fields = {
        "reference": "R-1",
        "key": key,
        "money": Money(50_00, "USD"),
        "status": "paid",
        "at": NOON,
        "tenant": "t1",
    }
    return Line.model_validate({**fields, **more})


def entry(key: str = "k1", **more: Any) -> Entry:
    fields = {
        "key": key,
        "run": "r1",
        "tenant": "t1",
        "tool": "refund",
        "status": "done",
        "money": Money(50_00, "USD"),
        "sent_at": NOON,
        "is_settled": True,
    }
    return Entry.model_validate({**fields, **more})


def kinds(lines: list[Line], entries: list[Entry]) -> list[str]:
    known = {one.key: one for one in entries}
    expected = [one for one in entries if one.status == "done" and one.is_settled]
    return [one.kind for one in match_statement(lines, known, expected)]


def test_what_agrees_is_no_difference() -> None:
    assert kinds([line()], [entry()]) == []


@pytest.mark.parametrize(
    ("lines", "entries", "found"),
    [
        pytest.param([], [entry()], ["missing"], id="missing"),
        pytest.param([line()], [], ["stranger"], id="stranger"),
        pytest.param(
            [line(), line(reference="R-2")], [], ["stranger"] * 2, id="strangers"
        ),
        pytest.param(
            [line(money=Money(51_00, "USD"))], [entry()], ["amount"], id="amount"
        ),
        pytest.param(
            [line(money=Money(50_00, "EUR"))], [entry()], ["amount"], id="currency"
        ),
        pytest.param([line(tenant="t2")], [entry()], ["tenant"], id="tenant"),
        pytest.param([line(tenant=None)], [entry()], [], id="no-tenant-named"),
        pytest.param([line(), line(reference="R-2")], [entry()], ["twice"], id="twice"),
        pytest.param(
            [line(), line(reference="R-2", status="failed")],
            [entry()],
            [],
            id="failed-and-then-paid",
        ),
        pytest.param([line(status="reversed")], [entry()], ["later"], id="reversed"),
        pytest.param([line(status="failed")], [entry()], ["later"], id="failed-later"),
        pytest.param(
            [line(), line(reference="R-2", status="reversed")],
            [entry()],
            ["later"],
            id="reversal-of-its-own",
        ),
        pytest.param([line(status="pending")], [entry()], [], id="pending"),
        pytest.param([line()], [entry(status="failed")], ["unsent"], id="failed-paid"),
        pytest.param(
            [line()], [entry(status="refused")], ["unsent"], id="refused-paid"
        ),
        pytest.param(
            [line()],
            [entry(status="leased", sent_at=None)],
            ["unsent"],
            id="never-sent-paid",
        ),
        pytest.param(
            [line(status="failed")], [entry(status="failed")], [], id="both-failed"
        ),
        pytest.param(
            [line()],
            [entry(money=None)],
            ["amount"],
            id="money-of-an-effect-without",
        ),
    ],
)
def test_each_difference_has_its_kind(
    lines: list[Line], entries: list[Entry], found: list[str]
) -> None:
    assert kinds(lines, entries) == found


@pytest.mark.parametrize("status", ["leased", "sending", "unknown", "done", "failed"])
@pytest.mark.parametrize("has_line", [True, False])
def test_what_is_on_its_way_is_no_difference(status: str, has_line: bool) -> None:  # noqa: FBT001 a parameter
    sent_at = None if status == "leased" else NOON
    known = [entry(status=status, is_settled=False, sent_at=sent_at)]

    assert kinds([line()] if has_line else [], known) == []


@pytest.mark.parametrize("status", ["sending", "unknown"])
def test_unknown_effect_is_a_task_and_no_difference(status: str) -> None:
    assert kinds([line()], [entry(status=status)]) == []
    assert kinds([], [entry(status=status)]) == []


def test_row_that_comes_on_two_pages_counts_once() -> None:
    assert kinds([line(), line()], [entry()]) == []


def test_of_a_row_that_changed_between_pages_the_later_counts() -> None:
    later = line(status="reversed", at=NOON + timedelta(hours=1))

    assert kinds([line(), later], [entry()]) == ["later"]
    assert kinds([later, line()], [entry()]) == ["later"]


def test_one_reference_for_two_movements_is_refused() -> None:
    with pytest.raises(BooksUnusable, match="R-1 twice, with different contents"):
        kinds([line(), line("k2")], [entry()])


def test_second_payment_under_a_key_is_another_incident() -> None:
    lines = [line(), line(reference="R-2", at=NOON + timedelta(hours=1))]
    third = line(reference="R-3", at=NOON + timedelta(hours=2))

    [first] = match_statement(lines, {"k1": entry()}, [])
    [second] = match_statement([*lines, third], {"k1": entry()}, [])

    assert first.source != second.source


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["done", "failed", "unknown", "sending", "refused"]),
            st.integers(1, 10**9),
        ),
        max_size=30,
    )
)
def test_books_that_repeat_the_ledger_never_differ(
    effects: list[tuple[str, int]],
) -> None:
    entries = [
        entry(f"k{n}", status=status, money=Money(cents, "USD"))
        for n, (status, cents) in enumerate(effects)
    ]
    lines = [
        line(one.key, reference=f"R-{one.key}", money=one.money)
        for one in entries
        if one.status == "done"
    ]

    assert kinds(lines, entries) == []


def mail(key: str) -> MailEntry:
    return MailEntry(message_id=f"<{mail_name(key)}@shop.example>", at=NOON)


def mails(left: list[MailEntry], entries: list[Entry]) -> list[str]:
    return [one.kind for one in match_mails(left, entries)]


def test_mails_are_matched_by_their_effects_keys() -> None:
    sent = entry("k1", money=None, mailed_as="<x@shop.example>")
    unsent = entry("k3", money=None, status="refused")

    assert mails([mail("k1")], [sent]) == []
    assert mails([], [sent]) == ["missing"]
    assert mails([mail("k1"), mail("k1")], [sent]) == ["twice"]
    assert mails([mail("k1"), mail("k2")], [sent]) == ["stranger"]
    assert mails([mail("k3")], [unsent]) == ["unsent"]


def test_mail_that_is_on_its_way_is_no_difference() -> None:
    young = entry("k1", mailed_as="<x@shop.example>", is_settled=False)
    open_ = entry("k2", status="unknown")

    assert mails([], [young, open_]) == []
    assert mails([mail("k1"), mail("k2")], [young, open_]) == []
