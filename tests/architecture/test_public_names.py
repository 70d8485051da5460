"""The public names of `orchestrator`: each is there, however the package is imported."""

import subprocess
import sys

import pytest

import orchestrator
from orchestrator.cli.dev import data
from orchestrator.rules.settings import Settings


@pytest.mark.parametrize("name", orchestrator.__all__)
def test_public_name_is_loaded_when_it_is_asked_for(name: str) -> None:
    assert getattr(orchestrator, name).__name__ == name


@pytest.mark.parametrize(
    "module",
    ["orchestrator", "orchestrator.cli.program", "orchestrator.cli.dev.supervisor"],
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
        getattr(orchestrator, "Contrakt")  # noqa: B009 pyright knows that it is not there
