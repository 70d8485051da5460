"""A mistake in an application's file is one sentence that names the file and line."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.rules.errors import ContractError
from tests.orchestrator.cli.program import here
from tests.orchestrator.rules.contract.mistakes import (
    CONTRACTS,
    MISTAKES,
    TOOLS,
    WORKFLOW,
)
from tests.servers.ports import free_port

ROOT = Path(__file__).parents[4]


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A right application, in a package that no other test has imported."""
    folder = tmp_path / "app_of_a_test"
    folder.mkdir()
    files = {"contracts": CONTRACTS, "workflow": WORKFLOW, "tools": TOOLS}
    for name, text in {**files, "__init__": ""}.items():
        (folder / f"{name}.py").write_text(text.replace("{app}", folder.name))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    yield folder
    for name in [one for one in sys.modules if one.split(".")[0] == folder.name]:
        del sys.modules[name]


def _put(path: Path, old: str, new: str) -> list[str]:
    text = path.read_text()
    assert old in text
    # The last place: the tool that is written wrongly comes last.
    before, _, after = text.rpartition(old)
    path.write_text(f"{before}{new}{after}")
    return path.read_text().splitlines()


def test_the_application_of_these_tests_is_right(app: Path) -> None:
    assert set(registry.load([app.name]).tools) == {"look", "pay"}


@pytest.mark.parametrize(("file", "mistake"), MISTAKES)
def test_a_mistake_is_told_with_its_file_and_line(
    app: Path, file: str, mistake: tuple[str, str, str, str]
) -> None:
    old, new, words, line = mistake
    lines = _put(app / file, old, new)

    with pytest.raises(ContractError) as refused:
        registry.load([app.name])

    told = str(refused.value)
    path, number, sentence = told.split(":", 2) if line else (file, "1", told)
    assert line in lines[int(number) - 1]
    assert Path(path).name == file
    assert words in sentence
    assert told.endswith(".")
    assert "\n" not in told


COMMANDS = ["contract list", "contract show shop", "worker", "eval"]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_shows_a_traceback(app: Path, command: str) -> None:
    _put(app / "contracts.py", "approvers=1", "approvers=1, within=4")
    keyturn = here(app.parent).but(KEYTURN_APPS=app.name)
    suite = [str(ROOT / "evals" / "support.jsonl")] if command == "eval" else []

    said = keyturn(*command.split(), *suite)

    assert said.status == 1
    assert "contracts.py:26: Rule is declared wrongly: within=4" in said.err
    assert "timedelta" in said.err


def test_dev_says_the_sentence_and_goes_on_once_it_is_mended(app: Path) -> None:
    right = (app / "contracts.py").read_text()
    _put(app / "contracts.py", "approvers=1", "approvers=1, within=4")
    keyturn = here(app.parent).but(
        KEYTURN_APPS=app.name, KEYTURN_DATABASE_URL="", KEYTURN_TEMPORAL_ADDRESS=""
    )
    process = keyturn.start("dev", "--port", str(free_port()), "--json")
    said: list[str] = []
    try:
        for line in process.stdout or ():
            said.append(line)
            if "Rule is declared wrongly" in line:
                (app / "contracts.py").write_text(right)
            if line.startswith("{"):
                break
    finally:
        process.terminate()
        process.communicate(timeout=60)

    told = "".join(said)
    assert "contracts.py:26: Rule is declared wrongly: within=4" in told
    assert said[-1].startswith("{")
    assert "Traceback" not in told
