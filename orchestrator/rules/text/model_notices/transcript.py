"""The texts around a run's turns in a prompt."""

from keyturn.orchestrator.rules.text.model_notices.codes import NoticeCode, StandIn
from keyturn.orchestrator.rules.text.model_notices.notice import ModelNotice, notice
from keyturn.orchestrator.rules.text.model_notices.templates import STAND_INS


def house_rules() -> ModelNotice:
    """Return the rules that apply to every workflow."""
    return notice(NoticeCode.HOUSE_RULES)


def turns_omitted() -> ModelNotice:
    """Say that the window has no room for the earlier turns."""
    return notice(NoticeCode.TURNS_OMITTED)


def nothing_said() -> str:
    """Return the text that stands for a model's empty reply."""
    return STAND_INS[StandIn.NOTHING_SAID]


def result_noted() -> str:
    """Return the model's text between a result and a message, which may not touch."""
    return STAND_INS[StandIn.RESULT_NOTED]
