"""Why a model's reply is unusable and has to be sent again."""

from collections.abc import Sequence

from keyturn.orchestrator.rules.text.model_notices.codes import NoticeCode
from keyturn.orchestrator.rules.text.model_notices.notice import ModelNotice, notice


def reply_cut(*, tokens: int) -> ModelNotice:
    """Say that a reply reached its output limit."""
    return notice(NoticeCode.REPLY_CUT, tokens=tokens)


def reply_long(*, size: int, most: int) -> ModelNotice:
    """Say that the answer to an `ask` is too long; both in bytes."""
    return notice(NoticeCode.REPLY_LONG, size=size, most=most)


def reply_no_tools() -> ModelNotice:
    """Say that an `ask` allows no calls."""
    return notice(NoticeCode.REPLY_NO_TOOLS)


def reply_many_calls(*, count: int, most: int) -> ModelNotice:
    """Say that a turn has too many calls."""
    return notice(NoticeCode.REPLY_MANY_CALLS, count=count, most=most)


def reply_unknown_tool(*, tool: str, known: Sequence[str]) -> ModelNotice:
    """Say that the contract does not grant this tool, and list the granted ones."""
    names = ", ".join(known) or "none"
    return notice(NoticeCode.REPLY_UNKNOWN_TOOL, tool=tool, known=names)


def reply_no_object() -> ModelNotice:
    """Say that a call's arguments are JSON, but not an object."""
    return notice(NoticeCode.REPLY_NO_OBJECT)


def reply_arguments(*, why: str) -> ModelNotice:
    """Say in the validator's words why a call's arguments do not fit."""
    return notice(NoticeCode.REPLY_ARGUMENTS, why=why)


def reply_document(*, why: str) -> ModelNotice:
    """Say in the validator's words why an answer does not fit."""
    return notice(NoticeCode.REPLY_DOCUMENT, why=why)


def reply_sibling() -> ModelNotice:
    """Say that a valid call was not carried out because another call is invalid."""
    return notice(NoticeCode.REPLY_SIBLING)
