"""The pages that lead newcomers through code and decisions name places that exist."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "explanation"
CODE_MAP = PAGES / "code-map.md"
LIFE = PAGES / "life-of-a-ticket.md"
DECISIONS = sorted((ROOT / "docs" / "adr").glob("*.md"))
SECTIONS = (
    "Context",
    "Alternatives considered",
    "Decision",
    "Consequences",
    "Kept by",
)
# A module by its path from the root, and what to open in it: `path.py::Class.method`.
PLACE = re.compile(r"(?P<path>[\w/]+\.py)(?:::(?P<name>[\w.]+))?")
QUESTION = re.compile(r"^\| .+\? \|", re.MULTILINE)
ANSWERED = re.compile(r"^\| .+\? \| `[\w/]+\.py[^`]*` \| .+\. \|$", re.MULTILINE)


def _places(page: Path) -> list[str]:
    """Return what stands in backticks and names a file or something within one."""
    quoted = re.findall(r"`([^`\n]+)`", page.read_text())
    return [one for one in quoted if ".py" in one or "::" in one]


@functools.cache
def _defined(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(name for node in tree.body for name in _names(node))


def _names(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [node.name]
        case ast.ClassDef():
            inner = [name for one in node.body for name in _names(one)]
            return [node.name, *(f"{node.name}.{name}" for name in inner)]
        case ast.Assign(targets=[ast.Name(id=name)]):
            return [name]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


def _wrong(place: str) -> str | None:
    found = PLACE.fullmatch(place)
    if found is None:
        return f"{place}: write path/to/module.py::name"
    path, name = found["path"], found["name"]
    if not (ROOT / path).is_file():
        return f"{path} does not exist"
    if name is not None and name not in _defined(path):
        return f"{path} does not define {name}"
    return None


@pytest.mark.parametrize(
    "page", [CODE_MAP, LIFE, *DECISIONS], ids=lambda page: page.stem
)
def test_each_place_that_a_page_names_exists(page: Path) -> None:
    places = _places(page)

    assert places
    assert [why for one in places if (why := _wrong(one)) is not None] == []


def test_code_map_answers_thirty_questions_with_a_file_each() -> None:
    text = CODE_MAP.read_text()

    questions, answered = QUESTION.findall(text), ANSWERED.findall(text)

    assert len(questions) >= 30
    assert len(answered) == len(questions)


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_each_decision_says_what_was_weighed_and_what_keeps_it(page: Path) -> None:
    sections = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)

    assert tuple(sections) == SECTIONS


@pytest.mark.parametrize(
    "place",
    [
        "orchestrator/store/no_such_module.py",
        "orchestrator/store/effects/lease.py::no_such_function",
        "orchestrator/store/effects/grant.py::Granting.no_such_method",
        "lease.py:lease",
    ],
)
def test_a_place_that_is_gone_is_reported(place: str) -> None:
    assert _wrong(place) is not None
