"""The public names of `keyturn`: each is there, however the package is imported."""

import subprocess
import sys

import pytest

import keyturn
from keyturn import orchestrator
from keyturn.orchestrator.cli.dev import data
from keyturn.orchestrator.rules.settings import Settings


@pytest.mark.parametrize("name", keyturn.__all__)
def test_public_name_is_loaded_when_it_is_asked_for(name: str) -> None:
    assert getattr(keyturn, name).__name__ == name


def test_the_package_offers_the_rules_names_and_the_workflow() -> None:
    assert {*keyturn.__all__} == {*orchestrator.__all__, "AgentWorkflow"}


@pytest.mark.parametrize(
    "module",
    [
        "orchestrator",
        "keyturn.orchestrator.cli.program",
        "keyturn.orchestrator.cli.dev.supervisor",
    ],
)
def test_what_starts_first_loads_no_framework(module: str) -> None:
    heavy = "{'pydantic', 'rich', 'sqlalchemy', 'temporalio'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_default_data_folder_is_written_alike_in_both_places() -> None:
    assert str(Settings().data_dir) == data.FOLDER


def test_unknown_name_is_named() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Contrakt'"):
        getattr(keyturn, "Contrakt")  # noqa: B009 pyright knows that it is not there
