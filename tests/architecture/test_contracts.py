"""The import contracts say the same thing wherever they list the nouns."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_contracts_list_the_same_nouns() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = {c["id"]: c for c in config["tool"]["importlinter"]["contracts"]}

    layered = contracts["layers"]["layers"][-1].split(" : ")
    exhaustive = contracts["exhaustive"]["layers"][-1].split(" : ")

    assert layered == [f"orchestrator.{name}" for name in exhaustive]
    assert layered == contracts["nouns"]["source_modules"]
