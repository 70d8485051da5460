"""One plain sentence about an action, from checked arguments and facts.

Nothing here is text by a model: it has the tool's name, the money that code computed,
the subject, and short arguments as they would be carried out.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, JsonValue

from keyturn.approvals.view import amounts
from keyturn.orchestrator.rules.contract.marks import PROSE_KEY
from keyturn.orchestrator.rules.contract.release import ToolSpec
from keyturn.orchestrator.rules.money.money import Money

SHORT = 60
MOST_DETAILS = 4
_INNER_QUOTES = str.maketrans("“”", "''")


class Action(BaseModel):
    """The action that would be carried out, with its customer."""

    model_config = ConfigDict(frozen=True)

    spec: ToolSpec
    arguments: dict[str, JsonValue]
    customer: str
    money: Money | None


def sentence(action: Action) -> str:
    """Return the sentence, with untrusted texts in quotes."""
    words = action.spec.name.replace("_", " ").strip().capitalize()
    said = action.money
    money = f" of {amounts.text(said.amount, said.currency)}" if said else ""
    details = ", ".join(_details(action))
    rest = f": {details}" if details else ""
    whom = "" if words.endswith(" customer") else " for customer"
    return f"{words}{money}{whom} {_quoted(action.customer)}{rest}."


def _details(action: Action) -> list[str]:
    told = [
        f"{_label(name)} {_written(value)}"
        for name, value in sorted(
            action.arguments.items(), key=lambda pair: pair[0] != action.spec.subject
        )
        if _is_short(action.spec, name, value)
    ]
    left = len(told) - MOST_DETAILS
    return [*told[:MOST_DETAILS], *([f"and {left} more"] if left > 0 else [])]


def _is_short(spec: ToolSpec, name: str, value: JsonValue) -> bool:
    if name == spec.money or value is None:
        return False
    # Wording is included if it names a message, as a mail's subject does.
    if _is_prose(spec, name) and spec.audience != "customer":
        return False
    if isinstance(value, list):
        return bool(value) and all(_is_scalar(one) for one in value)
    return _is_scalar(value)


def _is_scalar(value: JsonValue) -> bool:
    return isinstance(value, bool | int | float) or (
        isinstance(value, str) and 0 < len(value) <= SHORT and value.isprintable()
    )


def _is_prose(spec: ToolSpec, name: str) -> bool:
    properties = spec.parameters.get("properties")
    field = properties.get(name) if isinstance(properties, dict) else None
    return isinstance(field, Mapping) and field.get(PROSE_KEY) is True


def _written(value: JsonValue) -> str:
    if isinstance(value, list):
        shown = ", ".join(_written(one) for one in value[:MOST_DETAILS])
        left = len(value) - MOST_DETAILS
        return f"{shown} and {left} more" if left > 0 else shown
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    # Its quotes must not close ours: text outside the quotes counts as ours.
    return f"“{text.translate(_INNER_QUOTES)}”"


def _label(name: str) -> str:
    return name.replace("_", " ")
