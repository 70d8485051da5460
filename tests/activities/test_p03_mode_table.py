"""P3: every cell of the table of modes in the reference, tried on every scope it is about.

The cells are read from `docs/reference/statuses.md`: a cell that says something else than
what is tried here, or one that nobody tries, fails. So the table and the code are one.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest

from keyturn.orchestrator.rules.authority.switch import Mode
from tests.activities.mode_action_checks import OF_ACTIONS
from tests.activities.mode_scene import Check, Scene, Scripted
from tests.activities.mode_scopes import SCOPES
from tests.activities.mode_turn_checks import OF_TURNS
from tests.depth import SEARCHES
from tests.orchestrator.store.desk import Desk, open_desk

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "statuses.md"
HEADING = "## What each mode of a switch does"
MODES: tuple[Mode, ...] = get_args(Mode)
CHECKS = {**OF_TURNS, **OF_ACTIONS}


def _table() -> list[tuple[str, Mode, str]]:
    """Return the cells of the reference: row, mode, what is said."""
    section = REFERENCE.read_text().partition(HEADING)[2].partition("\n## ")[0]
    lines = [one for one in section.splitlines() if one.startswith("|")]
    rows = [[cell.strip() for cell in one.strip("|").split("|")] for one in lines]
    header = [one.strip("`") for one in rows[0][1:]]
    return [
        (row[0], mode, said)
        for row in rows[2:]
        for mode, said in zip(header, row[1:], strict=True)
        if mode in MODES
    ]


TABLE = _table()
CELLS = [
    (row, mode, check)
    for row, mode, said in TABLE
    for check in CHECKS.get((row, said), ())
]
# Each cell with every other scope, the next cell with those between; all in a search.
TRIED = [
    pytest.param(mode, scope, check, id=f"{row}-{mode}-{name}-{check.__name__}")
    for cell, (row, mode, check) in enumerate(CELLS)
    for place, (name, scope) in enumerate(SCOPES.get(row, {}).items())
    if SEARCHES or (cell + place) % 2 == 0
    if not (mode == "use_model" and {"tool", "corpus"} & set(scope))
]


def test_p03_every_cell_of_the_table_of_modes_is_tried() -> None:
    said = {(row, words) for row, _, words in TABLE}

    assert {mode for _, mode, _ in TABLE} == set(MODES)
    assert {row for row, _, _ in TABLE} == set(SCOPES)
    assert said == set(CHECKS)


@pytest.fixture
async def desk(sqlite_tables: str) -> AsyncIterator[Desk]:
    """A desk whose tools all read the corpus `help`."""
    async with open_desk(sqlite_tables) as plain:
        fed = [
            one.model_copy(update={"corpora": ("help",)}) for one in plain.release.tools
        ]
        await plain.go_live(tools=tuple(fed))
        yield plain


@pytest.mark.parametrize(("mode", "scope", "check"), TRIED)
async def test_p03_what_the_table_of_modes_says_is_so(
    desk: Desk, mode: Mode, scope: dict[str, str], check: Check
) -> None:
    providers = {name: Scripted(name) for name in ("openai", "anthropic")}

    await check(Scene(desk, mode, scope, providers))
