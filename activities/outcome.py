"""The outcome of an attempt, by what its connectors know about it.

The class of an exception is not enough: a tool that fails on an empty answer has acted
all the same, and one that failed while it connected has not.
"""

from keyturn.activities.toolbox import notice_of
from keyturn.orchestrator.rules.contract.connector import (
    Deed,
    Deeds,
    Known,
    NotKnown,
    NotRead,
    NotSent,
)
from keyturn.orchestrator.rules.contract.tool import ConnectorNo, ToolError
from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.store.ledger.effects import Outcome

# After these nobody may say that nothing was done.
_MAY_HAVE_ACTED = frozenset({Known.ACTED, Known.NOT_KNOWN})
_WAS_NOT_SENT = frozenset({Known.NOT_SENT, Known.NEEDS_REPAIR})


def of_result(deeds: Deeds, done: Outcome) -> Outcome:
    """Return the outcome of a tool that returned: done, if all its writes are known."""
    lost = [deed for deed in deeds.all if deed.known is Known.NOT_KNOWN]
    if lost:
        words = f"the tool went on after an answer was lost: {lost[0].words}"
        return Outcome(kind="unknown", words=words)
    return done


def of_error(deeds: Deeds, error: Exception) -> Outcome:
    """Return the outcome of a tool that raised."""
    *earlier, last = deeds.all or [None]
    words = _words(error)
    if any(deed is not None and deed.known in _MAY_HAVE_ACTED for deed in earlier):
        return Outcome(
            kind="unknown", words=f"a part of it may have been done: {words}"
        )
    if last is not None and last.known is Known.ACTED:
        return _after_acting(last, error, words)
    if last is not None and last.known is Known.NOT_KNOWN:
        return Outcome(kind="unknown", words=words, may_repeat=True)
    return _of_class(last, error, words)


def _after_acting(deed: Deed, error: Exception, words: str) -> Outcome:
    """Return the outcome of a completed write whose tool raised afterwards.

    Without a document, the tool knows no more than the connector does.
    """
    if not deed.has_document:
        notice = model_notices.call_done(words=deed.words)
        return Outcome(kind="done", words=notice.words, notice=notice)
    if isinstance(error, ToolError) and not _came_of_connector(error):
        # The tool read the answer: a service may refuse inside a success.
        return Outcome(kind="failed", words=words, notice=notice_of(error))
    return Outcome(
        kind="unknown", words=f"it was answered, and the tool cannot read that: {words}"
    )


def _came_of_connector(error: BaseException | None) -> bool:
    """Return whether a refusal is about another request: a read, or an earlier write.

    A tool may have put it into words of its own.
    """
    seen = set[int]()
    while error is not None and id(error) not in seen:
        if isinstance(error, (ConnectorNo, NotRead, NotSent, NotKnown)):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _of_class(deed: Deed | None, error: Exception, words: str) -> Outcome:
    match error:
        case ToolError():
            return Outcome(kind="failed", words=words, notice=notice_of(error))
        case NotSent():
            return Outcome(
                kind="not_sent",
                words=words,
                answered=error.answered,
                alarm=error.alarm,
            )
        case NotRead() if deed is None:
            return Outcome(kind="not_sent", words=words)
        case _ if deed is not None and deed.known in _WAS_NOT_SENT:
            return Outcome(kind="not_sent", words=words)
        case _:
            return Outcome(kind="unknown", words=words, may_repeat=True)


def _words(error: Exception) -> str:
    words = str(error)
    if isinstance(error, (ToolError, NotSent, NotRead)):
        return words
    return f"{type(error).__name__}: {words or type(error).__name__}"
