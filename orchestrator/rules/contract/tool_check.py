"""Checks a tool's options where the tool is declared."""

import inspect
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, get_args, get_type_hints

from pydantic import BaseModel

from keyturn.orchestrator.rules.errors import ContractError
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.text import plain_text

_SHAPES: Final = {
    "preview": "-> Model",
    "money": "-> Money",
    "reconcile": "-> {output} | None",
}


def check(
    name: str,
    given: Mapping[str, Any],
    call: type[BaseModel],
    result: type[BaseModel],
) -> None:
    """Raise `ContractError`, one sentence, for an option that would fail later."""
    _check_texts(name, given)
    _check_times(name, given)
    if given.get("audience", "internal") not in ("customer", "internal"):
        raise ContractError(
            f"Tool {name!r} declares the audience {given['audience']!r}; write "
            "customer or internal."
        )
    for option in _SHAPES:
        function = given.get(option)
        if function is not None and not (option == "money" and _is_text(function)):
            _check_function(name, option, function, call=call, result=result)
    if given.get("compensate") is not None:
        _check_compensation(name, given["compensate"], call)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _check_texts(name: str, given: Mapping[str, Any]) -> None:
    for option in ("owner", "description"):
        value = given.get(option)
        if not isinstance(value, str) or not plain_text.trimmed(value):
            raise ContractError(
                f"Tool {name!r} has no {option}; write {option}=…"
                + (
                    " or a docstring: the model reads it."
                    if option == "description"
                    else ": the team that is responsible for it."
                )
            )
    subject = given.get("subject")
    if subject is not None and not isinstance(subject, str):
        raise ContractError(
            f"Tool {name!r}: its subject {subject!r} must be a field's name."
        )


def _check_times(name: str, given: Mapping[str, Any]) -> None:
    for option, may_be_zero in (("undo", True), ("idempotency_window", False)):
        value = given.get(option)
        if value is None and (option != "undo" or option not in given):
            continue
        if not isinstance(value, timedelta):
            raise ContractError(
                f"Tool {name!r}: {option}={value!r} is not a duration; write "
                f"{option}=timedelta(…)."
            )
        if value < timedelta(0) or (value == timedelta(0) and not may_be_zero):
            least = "zero or more" if may_be_zero else "more than zero"
            raise ContractError(
                f"Tool {name!r}: {option}={value} must be {least}; write "
                f"{option}=timedelta(…)."
            )


def _check_function(
    name: str,
    option: str,
    function: object,
    *,
    call: type[BaseModel],
    result: type[BaseModel],
) -> None:
    shape = _SHAPES[option].format(output=result.__name__)
    wanted = f"`async def f(call: {call.__name__}, context: ToolContext) {shape}`"
    if not inspect.iscoroutinefunction(function):
        raise ContractError(f"Tool {name!r}: its {option} must be {wanted}.")
    takes, gives = signature(name, option, function)
    _check_takes(name, f"its {option}", takes, call)
    if not _gives(option, gives, result):
        raise ContractError(
            f"Tool {name!r}: its {option} returns {_name(gives)}; it must be {wanted}."
        )


def _check_takes(name: str, what: str, takes: object, call: type[BaseModel]) -> None:
    """Refuse a function that takes other models than the tool's own."""
    kinds = [one for one in get_args(takes) or (takes,) if isinstance(one, type)]
    models = [one for one in kinds if issubclass(one, BaseModel)]
    if models and len(models) == len(kinds) and not issubclass(call, tuple(models)):
        raise ContractError(
            f"Tool {name!r}: {what} takes {', '.join(map(_name, models))}, but the "
            f"tool's call is {call.__name__}."
        )


def _gives(option: str, gives: object, result: type[BaseModel]) -> bool:
    if option == "money":
        return gives is Money
    if option == "preview":
        return isinstance(gives, type) and issubclass(gives, BaseModel)
    kinds = [one for one in get_args(gives) or (gives,) if one is not type(None)]
    return all(isinstance(one, type) and issubclass(one, result) for one in kinds)


def signature(
    name: str, option: str, function: Callable[..., object]
) -> tuple[object, object]:
    """Return the model that a tool's function takes and the type that it returns."""
    try:
        hints = get_type_hints(function)
        parameters = list(inspect.signature(function).parameters)
    except (NameError, TypeError, ValueError) as error:
        raise ContractError(
            f"Tool {name!r}: the types of its {option} cannot be read: {error}. Import "
            "them where the function is defined."
        ) from None
    takes = hints.get(parameters[0]) if len(parameters) == 2 else None
    return takes, hints.get("return")


def _check_compensation(name: str, how: object, call: type[BaseModel]) -> None:
    tool, arguments = getattr(how, "tool", None), getattr(how, "arguments", None)
    if not isinstance(tool, str) or not callable(arguments):
        raise ContractError(
            f"Tool {name!r}: write compensate=Compensate(tool='…', arguments=f)."
        )
    if inspect.iscoroutinefunction(arguments):
        raise ContractError(
            f"Tool {name!r}: the arguments of its compensation are made by a plain "
            "function, `def f(call, receipt) -> Model`, not an async one."
        )
    if getattr(arguments, "__name__", "") == "<lambda>":
        return
    takes, _ = signature(name, "compensate", arguments)
    _check_takes(name, "the function of its compensation", takes, call)


def _name(kind: object) -> str:
    return getattr(kind, "__name__", None) or str(kind or "an undeclared type")
