"""Tools: functions that a model may call, and what they may touch."""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Set
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import (
    Any,
    Literal,
    Required,
    TypedDict,
    TypeGuard,
    TypeVar,
    Unpack,
    cast,
    get_type_hints,
)

from pydantic import BaseModel, GetJsonSchemaHandler, JsonValue
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from keyturn.orchestrator.rules.contract import tool_check
from keyturn.orchestrator.rules.contract.connector import Connectors
from keyturn.orchestrator.rules.contract.marks import PROSE_KEY
from keyturn.orchestrator.rules.errors import ContractError, KeyturnError, OptionalField
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.text import canonical, json_object

Authority = Literal["read_only", "write", "irreversible"]
Audience = Literal["customer", "internal"]

DATA_CLASS_KEY = "x-data-class"
_SERVICE = re.compile(r"[a-z][a-z0-9./_-]{0,62}")


class ToolError(KeyturnError):
    """A definite failure: nothing was changed, and the model reads this message."""


class ConnectorNo(ToolError):
    """A connector's refusal: it speaks only of its own request, not of earlier ones.

    A tool that has already written learns nothing from it about those writes.
    """


@dataclass(frozen=True)
class DataClass:
    """Marks a field's kind of data: `Annotated[str, DataClass("pci")]`.

    The mark is part of the JSON Schema, so that a release can drop the field without
    this code.
    """

    name: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the field's schema with its data class, beside any other."""
        inner = handler(schema)
        known: str | list[str] = inner.get(DATA_CLASS_KEY, [])
        both = [*([known] if isinstance(known, str) else known), self.name]
        return {**inner, DATA_CLASS_KEY: both if len(both) > 1 else self.name}


@dataclass(frozen=True)
class ToolContext:
    """The tenant and customer that a call acts for, and its connectors.

    `effect_key` is None for a read; `contact` is the customer's address known when the
    run began.
    """

    run: str
    call: str
    tenant: str
    customer: str
    connectors: Connectors
    effect_key: str | None = None
    contact: str | None = None


# Long enough to notice a misclick, short enough that nobody waits for it.
UNDO_FOR = timedelta(seconds=10)

In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out", bound=BaseModel)

Function = Callable[[Any, ToolContext], Awaitable[BaseModel]]
Facts = Callable[[Any, ToolContext], Awaitable[BaseModel]]
MoneyOf = Callable[[Any, ToolContext], Awaitable[Money]]
Reconcile = Callable[[Any, ToolContext], Awaitable[BaseModel | None]]


@dataclass(frozen=True)
class Compensate:
    """How a done effect is reversed: by which tool, with which arguments.

    `arguments(call, receipt)` makes that tool's own model from what was done; the
    receipt, as JSON, is None where a person recorded that it happened.
    """

    tool: str
    arguments: Callable[[Any, dict[str, JsonValue] | None], BaseModel]


@dataclass(frozen=True)
class Tool:
    """A tool with its code; `ToolSpec` of a release is the same without it."""

    name: str
    function: Function
    input: type[BaseModel]
    output: type[BaseModel]
    authority: Authority
    owner: str
    description: str
    service: str | None = None
    subject: str | None = None
    money: str | MoneyOf | None = None
    preview: Facts | None = None
    facts: type[BaseModel] | None = None
    reconcile: Reconcile | None = None
    compensate: Compensate | None = None
    idempotency_window: timedelta | None = None
    audience: Audience = "internal"
    corpora: frozenset[str] = field(default_factory=frozenset[str])
    undo: timedelta = UNDO_FOR

    @property
    def is_action(self) -> bool:
        """Return whether a call is an action, which policy judges."""
        return self.authority != "read_only"


class ToolOptions(TypedDict, total=False):
    """What a tool declares besides its function; see `tool`."""

    authority: Required[Authority]
    owner: Required[str]
    description: str
    service: str | None
    subject: str | None
    money: str | MoneyOf | None
    preview: Facts | None
    reconcile: Reconcile | None
    compensate: Compensate | None
    idempotency_window: timedelta | None
    audience: Audience
    corpora: Set[str]
    undo: timedelta


def tool(**options: Unpack[ToolOptions]) -> Callable[[Function], Tool]:
    """Return a decorator that makes `async def f(call: In, context) -> Out` a `Tool`.

    Takes `authority` (`read_only`, `write` or `irreversible`), `owner`, `description`
    (default: the docstring), `service` (whose ids its customers and subjects are, such as
    `payments`; without it they are the same in every service), `subject` (the field that says on what it acts), `money`
    (a field of type `Money`, or an async function of call and context), `preview` (an
    async function that returns the facts an approver sees and `perform` reads again:
    facts read, never derived from the arguments), `reconcile` (looks up what became of
    an effect: the receipt, or None where it never happened), `compensate` (how a done
    effect is taken back, by an action of its own), `idempotency_window` (how
    long the provider honours the effect key), `audience`, `corpora` and `undo` (how long
    a decision about it can be taken back before it starts; 10 s).

    Raises `ContractError` for a function of another shape or an unknown option.
    """
    unknown = set(options) - set(ToolOptions.__annotations__)
    missing = {"authority", "owner"} - set(options)
    if unknown or missing:
        raise ContractError(
            "A tool is declared wrongly: "
            + "; ".join(
                [f"no option is named {name!r}" for name in sorted(unknown)]
                + [f"{name} is missing" for name in sorted(missing)]
            )
            + f". Options: {', '.join(ToolOptions.__annotations__)}."
        )
    return lambda function: _declare(function, options)


def _declare(function: Function, options: ToolOptions) -> Tool:
    name = function.__name__
    call_type, result_type = _signature(function, name)
    given: dict[str, Any] = {**options}
    given["description"] = options.get("description") or inspect.getdoc(function) or ""
    given["corpora"] = _corpora(name, options.get("corpora", ()))
    tool_check.check(name, given, call_type, result_type)
    declared = Tool(
        name=name, function=function, input=call_type, output=result_type, **given
    )
    _check(declared)
    return replace(declared, facts=_facts_model(declared))


def _facts_model(tool: Tool) -> type[BaseModel] | None:
    if tool.preview is None:
        return None
    return get_type_hints(tool.preview)["return"]


def _corpora(name: str, given: object) -> frozenset[str]:
    """Return the names; refuse a single string, which would split into letters."""
    found: list[object] = []
    if isinstance(given, Set | list | tuple):
        found = list(cast("Iterable[object]", given))
    names = [one for one in found if isinstance(one, str) and one.strip()]
    is_list = isinstance(given, Set | list | tuple)
    if not is_list or len(names) < len(found):
        raise ContractError(
            f"Tool {name!r} declares corpora={given!r}: write the corpora's names as a "
            'set, for example corpora={"help"}.'
        )
    return frozenset(names)


def _signature(
    function: Function, name: str
) -> tuple[type[BaseModel], type[BaseModel]]:
    hints = get_type_hints(function)
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) == 2 and inspect.iscoroutinefunction(function):
        call, result = hints.get(parameters[0]), hints.get("return")
        if _is_model(call) and _is_model(result):
            return call, result
    raise ContractError(
        f"Tool {name!r} must be `async def {name}(call: Model, context: ToolContext) "
        "-> Model`, with pydantic models for call and result."
    )


def _is_model(found: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(found, type) and issubclass(found, BaseModel)


def _check(tool: Tool) -> None:
    fields = tool.input.model_fields
    if tool.authority not in ("read_only", "write", "irreversible"):
        raise ContractError(
            f"Tool {tool.name!r} declares the authority {tool.authority!r}; "
            "write read_only, write or irreversible."
        )
    if tool.service is not None and not _SERVICE.fullmatch(str(tool.service)):
        raise ContractError(
            f"Tool {tool.name!r} declares the service {tool.service!r}; write its name in "
            "small letters, digits and . / _ -, such as 'payments'."
        )
    for label, name in (("subject", tool.subject), ("money", tool.money)):
        if isinstance(name, str) and name not in fields:
            raise ContractError(
                f"Tool {tool.name!r} names {name!r} as its {label}, but "
                f"{tool.input.__name__} has only: {', '.join(fields) or 'no field'}."
            )
        if isinstance(name, str) and _can_be_missing(fields[name]):
            raise OptionalField(
                f"Tool {tool.name!r}: its {label} {name!r} is optional or has another "
                "name in JSON. Policy needs this field in every call: make it required, "
                "without default and alias."
            )
        if isinstance(name, str) and _is_wording(tool, name):
            raise ContractError(
                f"Tool {tool.name!r}: its {label} {name!r} is marked as Prose, which "
                "an editor may change alone. Policy decides by this field: remove the "
                "mark."
            )
    if isinstance(tool.money, str) and fields[tool.money].annotation is not Money:
        raise ContractError(
            f"Tool {tool.name!r}: its money field {tool.money!r} must be of type Money."
        )


def _can_be_missing(field: FieldInfo) -> bool:
    return not field.is_required() or field.validation_alias is not None


def _is_wording(tool: Tool, name: str) -> bool:
    """Return whether a field is marked as wording, even if only its type is marked."""
    properties = json_object.of(arguments_schema(tool)["properties"])
    return PROSE_KEY in canonical.text(properties[name])


def arguments_schema(tool: Tool) -> dict[str, JsonValue]:
    """Return the JSON Schema of a tool's arguments."""
    return tool.input.model_json_schema()
