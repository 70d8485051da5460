"""Imports an application's modules; reports a mistake as one sentence with its line."""

import importlib
import importlib.util
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from pydantic import ValidationError

from keyturn.orchestrator.rules.errors import ContractError, in_words

# Keyturn's own code that runs inside a declaration or next to a built-in application.
_RULES: Final = frozenset(
    {
        __name__,
        "keyturn.orchestrator.rules.contract.registry",
        "keyturn.workflows.agent",
    }
)
# At most this many faults of one declaration are reported at once.
_MOST_REPORTED: Final = 5


def load(app: str, module: str) -> ModuleType:
    """Return a module of `app`; `ContractError` says where and how it is wrong."""
    try:
        with mistakes_as_contract_errors(module):
            return importlib.import_module(module)
    except ModuleNotFoundError:
        raise ContractError(
            f"Application {app!r} of KEYTURN_APPS has no module {module!r}; an "
            "application is a package with contracts.py, workflow.py and tools.py."
            + _ours(app)
        ) from None


@contextmanager
def mistakes_as_contract_errors(module: str) -> Generator[None]:
    """Turn any exception from authors' code into a `ContractError` with file and line.

    If `module` itself is missing, that stays a `ModuleNotFoundError`.
    """
    try:
        yield
    except ContractError as error:
        # Each kind of error keeps its class; only the place is added.
        error.args = (f"{_where(error, module)}: {error}",)
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and _is_absent(error, module):
            raise
        raise ContractError(f"{_where(error, module)}: {_words(error)}") from error


def _ours(app: str) -> str:
    """Return the path of a built-in application that was named without `keyturn`."""
    ours = f"keyturn.{app}"
    try:
        is_there = importlib.util.find_spec(ours) is not None
    except ModuleNotFoundError:
        return ""
    return f" Keyturn's own is {ours!r}." if is_there else ""


def _is_absent(error: ModuleNotFoundError, module: str) -> bool:
    return bool(error.name) and f"{module}.".startswith(f"{error.name}.")


def _words(error: Exception) -> str:
    """Return the fault of a declaration as one sentence."""
    if isinstance(error, ValidationError):
        faults = [_fault(error.title, one) for one in error.errors(include_url=False)]
        more = len(faults) - _MOST_REPORTED
        mistakes = "; ".join(faults[:_MOST_REPORTED]) + (
            f"; and {more} more" * (more > 0)
        )
        return f"{error.title} is declared wrongly: {mistakes}."
    if isinstance(error, SyntaxError):
        return f"the line cannot be read: {error.msg}."
    return f"{type(error).__name__}: {str(error).rstrip('.')}. Correct the line."


def _fault(title: str, fault: Any) -> str:  # noqa: ANN401 pydantic's own TypedDict
    first, *rest = fault["loc"] or (title,)
    # A positional argument is named by its position.
    first = f"argument {first + 1}" if isinstance(first, int) else first
    names = ".".join(str(one) for one in (first, *rest))
    return f"{names}={fault['input']!r:.60}: {_in_words(fault)}"


def _in_words(fault: Any) -> str:  # noqa: ANN401 as above
    given = fault["input"]
    if fault["type"] == "tuple_type" and isinstance(given, str):
        return f"a text, but a tuple is needed; write ({given!r},)"
    if fault["type"] in ("frozen_set_type", "set_type") and isinstance(given, str):
        return f"a text, but a set is needed; write {{{given!r}}}"
    return in_words(fault)


def _where(error: BaseException, module: str) -> str:
    """Return the file and line of the application's own code that failed last."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    found, root = module, module.partition(".")[0]
    if root == "keyturn":  # its own application, beside all of its other code
        root = module.rpartition(".")[0]
    for frame, line in traceback.walk_tb(error.__traceback__):
        name: str = frame.f_globals.get("__name__", "")
        if f"{name}.".startswith(f"{root}.") and name not in _RULES:
            found = f"{frame.f_code.co_filename}:{line}"
    return found
