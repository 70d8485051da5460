"""Conditions that a caller of the rules or the record has to handle."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    # The command line starts without pydantic.
    from pydantic import JsonValue

# Messages of pydantic that are unclear to readers who did not write the model.
_WORDS: Final = {
    "missing": "it is missing",
    "extra_forbidden": "there is no such field",
    "datetime_parsing": "write a time with its zone, such as 2026-11-25T18:00:00Z",
    "datetime_from_date_parsing": (
        "write a time with its zone, such as 2026-11-25T18:00:00Z"
    ),
    "timezone_aware": "write the time with its zone, such as 2026-11-25T18:00:00Z",
}


def in_words(fault: Mapping[str, Any]) -> str:
    """Return a validation fault as people read it.

    `fault` is one of a pydantic `ValidationError`'s errors.
    """
    kind, message = fault["type"], str(fault["msg"])
    if kind == "string_too_short" and fault["ctx"]["min_length"] == 1:
        return "it must not be empty"
    return _WORDS.get(kind, message.removeprefix("Value error, "))


class KeyturnError(Exception):
    """Any condition that Keyturn names: the message says what, which value, what to do.

    `http_status` is the API's answer; 500 for conditions that no request causes.
    """

    http_status: ClassVar[int] = 500

    def facts(self) -> "dict[str, JsonValue]":
        """Return the error's facts for programs, in addition to its message."""
        return {}


def written(at: datetime) -> str:
    """Return a time in the format of response bodies."""
    return at.isoformat().replace("+00:00", "Z")


class ContractError(KeyturnError):
    """A contract, rule or tool is wrong and must be repaired before a worker starts."""


class OptionalField(ContractError):
    """A tool's subject or money is in an optional field."""


class PolicyError(ContractError):
    """The rules of one tool contradict any plausible intent of their author."""

    def __init__(self, *, contract: str, tool: str, problem: str) -> None:
        """Name the contract, the tool, what is wrong and what to do."""
        self.contract = contract
        self.tool = tool
        super().__init__(f"Contract {contract!r}, tool {tool!r}: {problem}")


class DeadRule(PolicyError):
    """A rule that never decides, because earlier rules decide all that it matches."""


class TwinTiers(PolicyError):
    """Two rules with the same condition and the same bound: only the first decides."""


class PolicyGap(PolicyError):
    """Rules cover some arguments, and no rule covers others."""


class ToolWithoutRule(PolicyError):
    """An action is granted without any rule, so it could never be done."""


class CurrencyWithoutRule(PolicyError):
    """A currency has rules, and fewer than another currency."""


class CurrencyWithoutLimit(PolicyError):
    """Rules allow money in a currency that no limit names: it would be refused."""


class UnboundedAllow(PolicyError):
    """A rule allows any amount in any currency, and no limit bounds it."""


class RuleOnOptionalField(PolicyError):
    """A rule depends on an optional field: leaving it out would evade the rule."""


class ValueNeverOccurs(PolicyError):
    """A rule matches a value that its field cannot have."""


class EvadableValue(PolicyError):
    """One spelling of a free text is judged more strictly than all others."""


class LooserVerdict(PolicyError):
    """A higher amount is judged more loosely than a lower one."""


class MalformedJson(KeyturnError):
    """A text is not one strict JSON document."""

    http_status: ClassVar[int] = 400


class InvalidValue(KeyturnError):
    """A value does not fit its JSON Schema."""

    http_status: ClassVar[int] = 422


class NotFound(KeyturnError):
    """No such object, or none that the caller may see."""

    http_status: ClassVar[int] = 404

    def __init__(self, *, kind: str, name: str, known: tuple[str, ...] = ()) -> None:
        """Name the kind of object, the requested name and the existing names."""
        self.kind = kind
        self.name = name
        self.known = known
        hint = f"; known: {', '.join(known)}" if known else ""
        super().__init__(f"There is no {kind} {name!r}{hint}.")

    def facts(self) -> "dict[str, JsonValue]":
        """Return the error's facts for programs, in addition to its message."""
        known: list[JsonValue] = list(self.known)
        return {"kind": self.kind, "known": known}


class BudgetExceeded(KeyturnError):
    """A model call's worst case does not fit what is left of a budget."""

    def __init__(self, *, scope: str, needed: str, left: str) -> None:
        """Name the scope, and in words the needed and the remaining amount."""
        self.scope = scope
        super().__init__(
            f"The budget of {scope} has {left} left, but this model call may need {needed}."
        )


class LimitExceeded(KeyturnError):
    """An effect would move more money than a limit allows."""

    def __init__(
        self, *, scope: str, needed: str, left: str | None, counted: str = ""
    ) -> None:
        """Name the scope and the money needed; what is left and counted, if known."""
        self.scope = scope
        self.needed = needed
        self.left = left
        self.counted = counted
        room = f"leaves {left}" if left is not None else "leaves too little"
        super().__init__(
            f"The limit of {scope} {room}, but this action moves {needed}; nothing was "
            "sent."
        )


class StoreUnavailable(KeyturnError):
    """The database cannot be reached or cannot write; nothing was started.

    `public_message` is what network callers read: it names no internal address.
    """

    http_status: ClassVar[int] = 503

    def __init__(self, words: str, *, public_message: str | None = None) -> None:
        """Take the words for the log and the command line, and those for callers."""
        self.public_message = public_message or words
        super().__init__(words)
