"""What became of an action that people were asked about, and of a message beside it."""

from keyturn.orchestrator.rules.text.model_notices.codes import NoticeCode
from keyturn.orchestrator.rules.text.model_notices.notice import (
    ModelNotice,
    Reading,
    notice,
)

# The action was not done for what is new: it may be drafted again.
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
    """Say that a person wants an action otherwise."""
    return notice(NoticeCode.CALL_CHANGES, person=person, reason=reason)


def call_expired(*, tool: str) -> ModelNotice:
    """Say that nobody answered in time."""
    return notice(NoticeCode.CALL_EXPIRED, tool=tool)


def call_void(*, because: str) -> ModelNotice:
    """Say that an action's approval was closed for what is new."""
    return notice(NoticeCode.CALL_VOID, because=because)


def call_facts_changed(*, because: str) -> ModelNotice:
    """Say that the facts of an action are others than people approved."""
    return notice(NoticeCode.CALL_FACTS_CHANGED, because=because)


def call_not_genuine() -> ModelNotice:
    """Say that the decision on an action carries no signature of ours."""
    return notice(NoticeCode.CALL_NOT_GENUINE)


def message_void(*, because: str) -> ModelNotice:
    """Say that a message to the customer was not sent, as it would be untrue."""
    return notice(NoticeCode.MESSAGE_VOID, because=because)


def compensation_void(*, because: str) -> ModelNotice:
    """Say that what an action would take back is not known as done any more."""
    return notice(NoticeCode.COMPENSATION_VOID, because=because)


def reason(answer: Reading) -> str:
    """Return the reason that a person gave for a rejection, else the whole words."""
    if answer.code is not NoticeCode.CALL_REJECTED:
        return answer.words
    return answer.words.partition(_REJECTED)[2].strip() or answer.words
