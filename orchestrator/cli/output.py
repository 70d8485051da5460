"""A command's output: a table for people, JSON for programs."""

import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence

from pydantic import JsonValue
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from keyturn.orchestrator.rules.text import json_object

# A pipe has no width; a table is then as wide as its widest row.
UNLIMITED = 10_000
NOTHING = "–"
# Microseconds are only in JSON. A text is a time only as a whole.
TIME = re.compile(r"\A(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z\Z")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under the names of their columns."""
    lines = box.SIMPLE_HEAD if sys.stdout.isatty() else None
    shown = Table(*columns, box=lines, pad_edge=False)
    for row in rows:
        shown.add_row(*(Text(_cell(value), overflow="fold") for value in row))
    _console().print(shown)


def pairs(values: Mapping[str, object]) -> None:
    """Print names with their values, one per line."""
    shown = Table(box=None, show_header=False, pad_edge=False)
    for name, value in values.items():
        shown.add_row(Text(name, style="bold"), Text(_cell(value), overflow="fold"))
    _console().print(shown)


def line(text: str) -> None:
    """Print one line of text; makes special characters visible."""
    sys.stdout.write(visible(text) + "\n")


def moment(value: object) -> str:
    """Return a time as people read it, without its microseconds."""
    return _cell(value)


def as_json(value: JsonValue) -> None:
    """Print one JSON document."""
    text = json.dumps(value, indent=None if isinstance(value, list) else 2)
    sys.stdout.write(text + "\n")


def visible(text: str) -> str:
    """Return a text in which no character controls the terminal or is invisible.

    Customers and models write the shown texts.
    """
    return "".join(
        char if char.isprintable() or char == "\n" else f"\\u{ord(char):04x}"
        for char in text
    )


def _cell(value: object) -> str:
    if value is None or value in ("", [], {}):
        return NOTHING
    if isinstance(value, str):
        return visible(TIME.sub(r"\1 \2 UTC", value))
    if json_object.is_array(value):
        return visible(", ".join(_cell(one) for one in value))
    if isinstance(value, dict):
        return visible(json.dumps(value, ensure_ascii=False))
    return visible(str(value))


def _console() -> Console:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else UNLIMITED
    return Console(width=width, markup=False, highlight=False, emoji=False)
