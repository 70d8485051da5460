"""Arguments that several commands take, and how they are read."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from keyturn.orchestrator.processes.exit_status import WrongUsage
from keyturn.orchestrator.rules.errors import MalformedJson
from keyturn.orchestrator.rules.text import canonical

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Most = Annotated[int, typer.Option("--limit", min=1, help="Show at most this many.")]
Reason = Annotated[
    str, typer.Option("--reason", "-r", help="Why; it is stored in the audit log.")
]


def read_object(given: str, *, what: str) -> dict[str, JsonValue]:
    """Return the JSON object in an argument, or in a file: `@NAME`, `-`."""
    try:
        value = canonical.parse(_text(given, what=what))
    except MalformedJson as error:
        raise WrongUsage(f"{what} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise WrongUsage(f'{what} must be a JSON object, like \'{{"name": "value"}}\'.')
    return value


def _text(given: str, *, what: str) -> str:
    if given == "-":
        return sys.stdin.read()
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{what}: {given[1:]} cannot be read: {error}") from None
