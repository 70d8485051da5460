"""How modules are named and cut: by noun, in one size, with errors where they belong."""

import ast
from pathlib import Path

from tests.architecture.wheel import ROOT, files

LONGEST = 400
CAST = "cast"
MIGRATIONS = "orchestrator/store/migrations/versions"
# Nouns that end so, by the house's own list; every other name of the kind is a verb's.
NOUNS = {"listing", "wording", "routing", "binding"}
MODULES = [path for path in files() if path.suffix == ".py"]
STORE = [path for path in MODULES if path.is_relative_to("orchestrator/store")]
ERRORS = {"KeyturnError", "Exception", "ValueError", "RuntimeError"}


def test_a_module_is_named_by_a_noun() -> None:
    verbs = [path for path in MODULES if path.stem.endswith("ing")]

    assert [
        path for path in verbs if path.stem.removeprefix("test_") not in NOUNS
    ] == []


def test_a_module_has_four_hundred_lines_at_most() -> None:
    long = [
        path
        for path in MODULES
        if (ROOT / path).read_text().count("\n") > LONGEST
        and not path.is_relative_to(MIGRATIONS)
    ]

    assert long == []


def test_few_functions_take_more_than_five_arguments() -> None:
    """Ruff asks for a reason with each; many would mean that a noun is missing."""
    excused = [
        line
        for path in MODULES
        if path.parts[0] != "tests"
        for line in (ROOT / path).read_text().splitlines()
        if "noqa: PLR0913" in line
    ]

    assert len(excused) <= 20
    assert [line for line in excused if line.endswith("PLR0913")] == []


def test_few_types_are_asserted() -> None:
    """A `cast` is a claim that nothing checks; columns and JSON have types of theirs."""
    count = sum((ROOT / path).read_text().count(f"{CAST}(") for path in MODULES)

    assert count <= 30


def test_errors_of_the_record_stand_in_a_rooms_errors() -> None:
    elsewhere = {
        str(path): named
        for path in STORE
        if path.name != "errors.py"
        for named in [[one.name for one in _classes(path) if _is_error(one)]]
        if named
    }

    assert elsewhere == {}


def test_verdicts_are_combined_in_one_module() -> None:
    combining = {
        str(path)
        for path in MODULES
        if path.parts[0] in ("orchestrator", "activities", "workflows", "approvals")
        and {"judge", "strictest"} & _called(path)
        and "rules.policy.rules import" in (ROOT / path).read_text()
    }

    assert combining == {
        "orchestrator/rules/policy/verdict.py",
        # These draw and check the rules of a contract; nothing is decided by them.
        "orchestrator/rules/policy/check.py",
        "orchestrator/rules/policy/table.py",
    }


def _classes(path: Path) -> list[ast.ClassDef]:
    tree = ast.parse((ROOT / path).read_text())
    return [one for one in ast.walk(tree) if isinstance(one, ast.ClassDef)]


def _is_error(one: ast.ClassDef) -> bool:
    bases = {ast.unparse(base).rpartition(".")[2] for base in one.bases}
    named = {base for base in bases if base.endswith(("Error", "Unavailable", "Value"))}
    return bool(ERRORS & bases or named)


def _called(path: Path) -> set[str]:
    """Return the functions of rules that a module imports by name and calls."""
    tree = ast.parse((ROOT / path).read_text())
    return {
        one.func.id
        for one in ast.walk(tree)
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)
    }
