"""Why a message to the customer is void: clauses within a notice, and on pages."""

from collections.abc import Sequence

from keyturn.orchestrator.rules.text.model_notices.codes import Clause
from keyturn.orchestrator.rules.text.model_notices.templates import CLAUSES


def customer_wrote() -> str:
    """Say that the customer sent a new message."""
    return _clause(Clause.CUSTOMER_WROTE)


def siblings_not_done(*, tools: Sequence[str]) -> str:
    """Say that these actions of the message's turn were not done."""
    return _clause(Clause.SIBLINGS_NOT_DONE, tools=", ".join(tools))


def siblings_edited(*, tools: Sequence[str]) -> str:
    """Say that a person changed these actions of the message's turn."""
    return _clause(Clause.SIBLINGS_EDITED, tools=", ".join(tools))


def earlier_action(*, tool: str, turn: int, index: int) -> str:
    """Name an earlier action; its call is counted from one."""
    return _clause(Clause.EARLIER_ACTION, tool=tool, turn=turn, number=index + 1)


def failed_later(*, action: str) -> str:
    """Say that an action did not stay done."""
    return _clause(Clause.FAILED_LATER, action=action)


def stayed_done(*, action: str) -> str:
    """Say that an action stayed done, although it was reported otherwise."""
    return _clause(Clause.STAYED_DONE, action=action)


def taken_back(*, action: str) -> str:
    """Say that an action was reversed."""
    return _clause(Clause.TAKEN_BACK, action=action)


def not_taken_back(*, action: str) -> str:
    """Say that an action was not reversed after all."""
    return _clause(Clause.NOT_TAKEN_BACK, action=action)


def done_after_all(*, action: str) -> str:
    """Say that an action reported as failed was done, by a late receipt."""
    return _clause(Clause.DONE_AFTER_ALL, action=action)


def _clause(name: Clause, **facts: object) -> str:
    return CLAUSES[name].format(**facts)
