"""The outcome of an action that people decided on, and of a message beside it."""

from keyturn.orchestrator.rules.text.model_notices.codes import NoticeCode
from keyturn.orchestrator.rules.text.model_notices.notice import (
    ModelNotice,
    Reading,
    notice,
)

# The action was not done because of news: it may be drafted again.
VOID: frozenset[NoticeCode] = frozenset(
    {
        NoticeCode.CALL_VOID,
        NoticeCode.CALL_FACTS_CHANGED,
        NoticeCode.CALL_NOT_GENUINE,
        NoticeCode.MESSAGE_VOID,
    }
)
_REJECTED = " rejected this: "


def call_rejected(*, person: str, reason: str) -> ModelNotice:
    """Say that a person rejected an action."""
    return notice(NoticeCode.CALL_REJECTED, person=person, reason=reason)


def call_changes(*, person: str, reason: str) -> ModelNotice:
    """Say that a person wants changes to an action."""
    return notice(NoticeCode.CALL_CHANGES, person=person, reason=reason)


def call_expired(*, tool: str) -> ModelNotice:
    """Say that nobody answered in time."""
    return notice(NoticeCode.CALL_EXPIRED, tool=tool)


def call_void(*, because: str) -> ModelNotice:
    """Say that an action's approval was closed because of news."""
    return notice(NoticeCode.CALL_VOID, because=because)


def call_facts_changed(*, because: str) -> ModelNotice:
    """Say that the facts of an action differ from those that people approved."""
    return notice(NoticeCode.CALL_FACTS_CHANGED, because=because)


def call_not_genuine() -> ModelNotice:
    """Say that the decision on an action lacks a genuine signature."""
    return notice(NoticeCode.CALL_NOT_GENUINE)


def message_void(*, because: str) -> ModelNotice:
    """Say that a message to the customer was not sent because it would be untrue."""
    return notice(NoticeCode.MESSAGE_VOID, because=because)


def compensation_void(*, because: str) -> ModelNotice:
    """Say that the action to be reversed is no longer known as done."""
    return notice(NoticeCode.COMPENSATION_VOID, because=because)


def reason(answer: Reading) -> str:
    """Return the reason that a person gave for a rejection, else the whole text."""
    if answer.code is not NoticeCode.CALL_REJECTED:
        return answer.words
    return answer.words.partition(_REJECTED)[2].strip() or answer.words
