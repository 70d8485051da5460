"""docker-compose.yml as Compose reads it: variables filled in, services by name."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
# ${NAME}, ${NAME:-default} and ${NAME:?message}, which is all that the file uses.
VARIABLE = re.compile(r"\$\{(\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


class NotSet(Exception):
    """A variable that must be set is not."""


@dataclass(frozen=True)
class Service:
    """One service: its command, what its environment adds, how its health is asked."""

    command: list[str]
    environment: dict[str, str]
    health: list[str] | None


def load(variables: Mapping[str, str]) -> dict[str, Service]:
    """The services that run Keyturn, with these variables filled in."""
    return {
        name: _service(body, variables)
        for name, body in _services().items()
        if "build" in body
    }


def required() -> set[str]:
    """The variables that have no default."""
    text = FILE.read_text(encoding="utf-8")
    return {match[1] for match in VARIABLE.finditer(text) if match["kind"] == "?"}


def fill_all(variables: Mapping[str, str]) -> str:
    """The whole file with its variables filled in."""
    return fill(FILE.read_text(encoding="utf-8"), variables)


def fill(text: str, variables: Mapping[str, str]) -> str:
    """A value with its variables filled in, by Compose's rules."""

    def one(match: re.Match[str]) -> str:
        value = variables.get(match[1], "")
        if value or match["kind"] is None:
            return value
        if match["kind"] == "?":
            raise NotSet(f"{match[1]}: {match['rest']}")
        return match["rest"]

    return VARIABLE.sub(one, text)


def program(command: list[str]) -> list[str]:
    """A container's command on this machine: our Python's own programs."""
    return [str(Path(sys.executable).with_name(command[0])), *command[1:]]


def _service(body: Mapping[str, Any], variables: Mapping[str, str]) -> Service:
    given: dict[str, str] = body.get("environment") or {}
    environment = {name: fill(str(value), variables) for name, value in given.items()}
    health = body.get("healthcheck", {}).get("test")
    return Service(body["command"], environment, health[1:] if health else None)


def _services() -> dict[str, dict[str, Any]]:
    document: Any = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return document["services"]
