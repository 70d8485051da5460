"""The wheel, installed beside a project that has packages of our folders' names.

The project has `workflows`, `activities` and `approvals` of its own, as nearly every
project on Temporal has, and an application of Keyturn's in a fourth.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest
from temporalio.client import Client

from tests.architecture.wheel import built_wheel

PROJECT = Path(__file__).parent / "project"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in a folder of its own, with an environment that has the wheel."""
    folder = tmp_path_factory.mktemp("beside")
    venv.create(folder / ".venv")
    site = next((folder / ".venv").glob("lib/python*/site-packages"))
    with ZipFile(built_wheel(tmp_path_factory.mktemp("wheel"))) as wheel:
        wheel.extractall(site)
    # Our locked packages, without the editable Keyturn: a `.pth` file within a folder
    # that a `.pth` file names is not read.
    (site / "locked.pth").write_text(sysconfig.get_path("purelib"))
    shutil.copytree(PROJECT, folder, dirs_exist_ok=True)
    return folder


def test_nothing_but_keyturn_is_installed(project: Path) -> None:
    site = next((project / ".venv").glob("lib/python*/site-packages"))

    names = {path.name for path in site.iterdir()} - {"locked.pth"}

    assert {name for name in names if not name.endswith(".dist-info")} == {"keyturn"}


async def test_the_project_runs_its_workflow_beside_ours(
    project: Path, temporal_client: Client
) -> None:
    address = temporal_client.service_client.config.target_host

    said = _run(project, "run.py", address).splitlines()

    assert said[0] == "reserved a lamp"
    assert {"shop", "support-ticket"} <= set(said[1].split())
    own, of_activities, ours = (Path(line) for line in said[2:])
    assert own == project / "workflows" / "__init__.py"
    assert of_activities == project / "activities" / "__init__.py"
    assert project / ".venv" in ours.parents


def test_the_command_line_finds_the_projects_application(project: Path) -> None:
    said = _run(project, "-m", "keyturn", "contract", "show", "shop")

    assert "pay_back" in said


@pytest.mark.parametrize(
    "checker",
    [("mypy", "--strict"), ("basedpyright", "--level", "error")],
    ids=["mypy", "pyright"],
)
def test_the_project_is_typed_strictly(project: Path, checker: tuple[str, ...]) -> None:
    name, *more = checker
    done = subprocess.run(
        [Path(sys.executable).parent / name, *more, "."],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        env=_environment(project),
    )

    assert done.returncode == 0, done.stdout + done.stderr


def _run(project: Path, *arguments: str) -> str:
    done = subprocess.run(
        [project / ".venv" / "bin" / "python", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        env=_environment(project),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _environment(project: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return {**kept, "KEYTURN_APPS": "shop", "VIRTUAL_ENV": str(project / ".venv")}
