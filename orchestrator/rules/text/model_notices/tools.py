"""Why a tool's code is not run, or its result is not used."""

from collections.abc import Sequence

from keyturn.orchestrator.rules.text.model_notices.codes import NoticeCode
from keyturn.orchestrator.rules.text.model_notices.notice import ModelNotice, notice


def tool_gone(*, tool: str) -> ModelNotice:
    """Say that this worker's code has no such tool."""
    return notice(NoticeCode.TOOL_GONE, tool=tool)


def tool_outdated(*, tool: str, lacks: Sequence[str]) -> ModelNotice:
    """Say what the release has and this worker's code lacks."""
    return notice(NoticeCode.TOOL_OUTDATED, tool=tool, lacks=" and no ".join(lacks))


def tool_arguments(*, tool: str, why: str) -> ModelNotice:
    """Say which arguments the tool's own model rejects."""
    return notice(NoticeCode.TOOL_ARGUMENTS, tool=tool, why=why)


def tool_facts(*, tool: str, why: str) -> ModelNotice:
    """Say that the facts that a tool read are not JSON that can be shown."""
    return notice(NoticeCode.TOOL_FACTS, tool=tool, why=why)


def tool_amount(*, tool: str, said: str, why: str) -> ModelNotice:
    """Say that a tool computed an invalid amount of money."""
    return notice(NoticeCode.TOOL_AMOUNT, tool=tool, said=said, why=why)


def tool_no_money(*, tool: str, kind: str) -> ModelNotice:
    """Say that a tool's money function returns another type."""
    return notice(NoticeCode.TOOL_NO_MONEY, tool=tool, kind=kind)
