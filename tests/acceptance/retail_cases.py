"""The retail cases of ../shared/cases, read where that folder exists."""

from functools import cache
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, JsonValue

FOLDER = Path(__file__).parents[3] / "shared" / "cases" / "retail"
DATABASE = FOLDER / "db.json"

needs_cases = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"NOT TESTED: the retail cases are not at {FOLDER}"
)


class Action(BaseModel):
    """One call of a case; `fails` is the error text where it is meant to fail."""

    model_config = ConfigDict(frozen=True)

    name: str
    arguments: dict[str, JsonValue]
    kind: Literal["read", "write", "irreversible", "handoff"]
    fails: str | None


class Case(BaseModel):
    """What a customer wants, the calls that solve it, and the shop afterwards."""

    model_config = ConfigDict(frozen=True)

    id: str
    customer: str
    instruction: str
    actions: tuple[Action, ...]
    expected_changes: dict[str, dict[str, JsonValue]]
    expected_state_hash: str


@cache
def cases() -> tuple[Case, ...]:
    """Give all cases; none where the folder is not there."""
    path = FOLDER / "cases.jsonl"
    if not path.exists():
        return ()
    return tuple(map(Case.model_validate_json, path.read_text().splitlines()))
