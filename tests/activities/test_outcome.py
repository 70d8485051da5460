"""P2: what is known of a call's writes decides, and not which exception came out."""

import pytest

from keyturn.activities import outcome
from keyturn.orchestrator.rules.contract.connector import (
    Deed,
    Deeds,
    Known,
    NotKnown,
    NotRead,
    NotSent,
)
from keyturn.orchestrator.rules.contract.tool import ConnectorNo, ToolError
from keyturn.orchestrator.store.ledger.effects import Outcome


def told(error: Exception) -> ToolError:
    """A tool's own words for what it caught."""
    try:
        try:
            raise error  # noqa: TRY301 as something that the tool calls
        except Exception:  # noqa: BLE001 as a tool may catch it
            raise ToolError("It did not work.") from None
    except ToolError as own:
        return own


NO = ToolError("No.")
DONE = Outcome(kind="done", words="{}")
ACTED = Deed(Known.ACTED, has_document=True)
EMPTY = Deed(Known.ACTED, words="shop answered 204 without a document.")
REFUSED, BEFORE, LOST = (
    Deed(known) for known in (Known.REFUSED, Known.NOT_SENT, Known.NOT_KNOWN)
)

RAISED: dict[str, tuple[list[Deed], Exception, str]] = {
    # One write, and what its connector raised.
    "refused": ([REFUSED], NO, "failed"),
    "not sent": ([BEFORE], NotSent("away"), "not_sent"),
    "lost": ([LOST], NotKnown("cut"), "unknown"),
    # The time is over, whatever the connector was at.
    "time-out while connecting": ([BEFORE], TimeoutError(), "not_sent"),
    "time-out while waiting": ([LOST], TimeoutError(), "unknown"),
    "time-out while reading 204": ([EMPTY], TimeoutError(), "done"),
    # The tool stumbles over the answer, or reads a no in it.
    "204 and a model that wants a document": ([EMPTY], ValueError("id"), "done"),
    "204 and a tool that wants a document": ([EMPTY], NO, "done"),
    "document that the tool cannot read": ([ACTED], ValueError("id"), "unknown"),
    "document that says no": ([ACTED], NO, "failed"),
    # A no that is not the answer's: of a read after it, of a mail to nobody.
    "a read that is refused after a write": ([ACTED], ConnectorNo("404"), "unknown"),
    "the same in the tool's own words": ([ACTED], told(ConnectorNo("x")), "unknown"),
    "a broken read in the tool's own words": ([ACTED], told(NotRead("x")), "unknown"),
    "first refused, second acted": ([REFUSED, ACTED], ConnectorNo("no"), "unknown"),
    # Two writes, of which one may have been done.
    "second refused": ([ACTED, REFUSED], NO, "unknown"),
    "second not sent": ([EMPTY, BEFORE], NotSent("away"), "unknown"),
    "first lost, second refused": ([LOST, REFUSED], NO, "unknown"),
    "first refused, second not sent": ([REFUSED, BEFORE], NotSent("x"), "not_sent"),
    "second without a document": ([ACTED, EMPTY], ValueError("id"), "unknown"),
    # The tool speaks for itself, before or instead of a write.
    "a no before any write": ([], NO, "failed"),
    "a read broke off": ([], NotRead("500"), "not_sent"),
    "a read broke off after a write": ([ACTED], NotRead("500"), "unknown"),
    "not sent, by a tool of its own ways": ([], NotSent("away"), "not_sent"),
    "broken, by a tool of its own ways": ([], OSError("cut"), "unknown"),
    "a no after a lost answer": ([LOST], NO, "unknown"),
    "not sent after a lost answer": ([LOST], NotSent("x"), "unknown"),
}


@pytest.mark.parametrize("name", RAISED)
def test_p02_what_is_known_decides(name: str) -> None:
    deeds, error, kind = RAISED[name]

    assert outcome.of_error(Deeds(list(deeds)), error).kind == kind


def test_p02_only_an_answer_that_was_lost_is_asked_for_again() -> None:
    may = {
        name: outcome.of_error(Deeds(list(deeds)), error).may_repeat
        for name, (deeds, error, kind) in RAISED.items()
        if kind == "unknown"
    }

    assert {name for name, is_so in may.items() if is_so} == {
        "lost",
        "time-out while waiting",
        "a no after a lost answer",
        "not sent after a lost answer",
        "broken, by a tool of its own ways",
    }


@pytest.mark.parametrize(
    ("deeds", "kind"),
    [([], "done"), ([ACTED], "done"), ([EMPTY], "done"), ([LOST, ACTED], "unknown")],
)
def test_p02_tool_that_goes_on_after_a_lost_answer_knows_nothing(
    deeds: list[Deed], kind: str
) -> None:
    assert outcome.of_result(Deeds(deeds), DONE).kind == kind


def test_p02_alarm_travels_with_what_was_not_sent() -> None:
    error = NotSent("535", answered=True, alarm="the login is refused")

    found = outcome.of_error(Deeds([Deed(Known.NEEDS_REPAIR)]), error)

    assert (found.kind, found.answered, found.alarm) == (
        "not_sent",
        True,
        "the login is refused",
    )
