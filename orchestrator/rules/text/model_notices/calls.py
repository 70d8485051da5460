"""Why a call was, or was not, carried out: messages of policy, guards and ledger."""

from keyturn.orchestrator.rules.text.model_notices.codes import NoticeCode
from keyturn.orchestrator.rules.text.model_notices.notice import ModelNotice, notice


def call_open() -> ModelNotice:
    """Say that a call has no answer yet."""
    return notice(NoticeCode.CALL_OPEN)


def call_edited(*, arguments: str, result: str) -> ModelNotice:
    """Say with which arguments, as canonical JSON, a call was done, and its result."""
    return notice(NoticeCode.CALL_EDITED, arguments=arguments, result=result)


def call_repeated(*, count: int) -> ModelNotice:
    """Say that the same call was requested too often."""
    return notice(NoticeCode.CALL_REPEATED, count=count)


def call_denied(*, why: str) -> ModelNotice:
    """Say that policy, or a switch, does not allow an action."""
    return notice(NoticeCode.CALL_DENIED, why=why)


def call_limited(
    *, scope: str, needed: str, left: str | None, counted: str
) -> ModelNotice:
    """Say that a limit on money has no room; `left` None: the amount is not given."""
    room = f"leaves {left}" if left is not None else "leaves too little"
    before = f"{counted} " if counted else ""
    return notice(
        NoticeCode.CALL_LIMITED, scope=scope, room=room, needed=needed, counted=before
    )


def call_busy(*, subject: str | None, by: str | None, status: str) -> ModelNotice:
    """Say that another action on the subject is under way; `by` None: no run named."""
    return notice(
        NoticeCode.CALL_BUSY,
        subject=subject or "the same",
        by=f" ({by})" if by else "",
        status=status,
    )


def call_refused(*, why: str) -> ModelNotice:
    """Say that a guard found no authority for an action."""
    return notice(NoticeCode.CALL_REFUSED, why=why)


def call_run_ended() -> ModelNotice:
    """Say that the run was ended before the call was carried out."""
    return notice(NoticeCode.CALL_RUN_ENDED)


def call_done(*, words: str) -> ModelNotice:
    """Say that an action was done, and that its service returned no document."""
    return notice(NoticeCode.CALL_DONE, words=words)


def call_found_done(*, person: str, evidence: str) -> ModelNotice:
    """Say that a person found that an unknown effect happened."""
    return notice(NoticeCode.CALL_FOUND_DONE, person=person, evidence=evidence)


def call_found_not_done(*, person: str, evidence: str) -> ModelNotice:
    """Say that a person found that an unknown effect did not happen."""
    return notice(NoticeCode.CALL_FOUND_NOT_DONE, person=person, evidence=evidence)


def call_absent() -> ModelNotice:
    """Say that a look-up found that an unknown effect did not happen."""
    return notice(NoticeCode.CALL_ABSENT)


def call_failed(*, words: str) -> ModelNotice:
    """Say that a tool or its service definitely refused, in its own words."""
    return notice(NoticeCode.CALL_FAILED, words=words)


def call_not_sent(*, why: str) -> ModelNotice:
    """Say that nothing reached the service."""
    return notice(NoticeCode.CALL_NOT_SENT, why=why)


def call_never_sent(*, why: str, hours: int) -> ModelNotice:
    """Say that nothing reached the service in all attempts."""
    return notice(NoticeCode.CALL_NEVER_SENT, why=why, hours=hours)


def call_crashed(*, tool: str, call: str) -> ModelNotice:
    """Say that an action's code fails permanently."""
    return notice(NoticeCode.CALL_CRASHED, tool=tool, call=call)


def call_facts_unreadable(*, tool: str) -> ModelNotice:
    """Say that the facts that people would decide on cannot be read."""
    return notice(NoticeCode.CALL_FACTS_UNREADABLE, tool=tool)


def read_off(*, tool: str, reason: str) -> ModelNotice:
    """Say that a read's tool or corpus is disabled."""
    return notice(NoticeCode.READ_OFF, tool=tool, reason=reason)


def read_of_action(*, tool: str) -> ModelNotice:
    """Say that an action is not carried out as a read."""
    return notice(NoticeCode.READ_OF_ACTION, tool=tool)


def read_crashed(*, call: str) -> ModelNotice:
    """Say that a read fails permanently."""
    return notice(NoticeCode.READ_CRASHED, call=call)
