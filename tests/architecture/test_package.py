"""Guards on what the distribution claims, carries and names."""

import json
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest

from hatch_build import FILES, VENDOR, build_assets

ROOT = Path(__file__).resolve().parents[2]
OWNED = ("orchestrator", "workflows", "activities", "approvals")
LARGEST_FILE = 1_000_000
# Put together here, so that this file does not name them either.
REGISTRIES = (
    "registry." + "npmjs",
    "registry." + "yarnpkg",
    "files." + "pythonhosted",
    "pypi." + "org",
    "deb." + "debian",
)


@pytest.mark.parametrize("name", OWNED)
def test_no_other_distribution_ships_our_import_name(name: str) -> None:
    assert set(packages_distributions().get(name, ["keyturn"])) == {"keyturn"}


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What a wheel of the committed files, and of those to be committed, carries."""
    source = tmp_path_factory.mktemp("source")
    for path in _files():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, source / path)
    build_assets(ROOT)
    shutil.copytree(ROOT / VENDOR, source / VENDOR)  # spares the download, not the hook
    code = (
        "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    )
    built = subprocess.check_output(
        [sys.executable, "-c", code, str(source / "dist")], cwd=source, text=True
    )
    with ZipFile(source / "dist" / built.split()[-1]) as wheel:
        return set(wheel.namelist())


def test_wheel_carries_every_front_end_file(wheel_names: set[str]) -> None:
    assert {str(VENDOR / name) for name in FILES.values()} <= wheel_names


@pytest.mark.parametrize("name", OWNED)
def test_wheel_says_that_a_package_is_typed(name: str, wheel_names: set[str]) -> None:
    assert f"{name}/py.typed" in wheel_names


def test_wheel_carries_our_packages_and_nothing_else(wheel_names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel_names}

    assert {top for top in tops if not top.endswith(".dist-info")} == set(OWNED)


def test_npm_lock_records_no_address() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())

    assert [
        name for name, entry in lock["packages"].items() if "resolved" in entry
    ] == []


def test_no_file_names_a_package_registry() -> None:
    naming = [
        str(path)
        for path in _files()
        for text in [(ROOT / path).read_bytes()]
        if any(host.encode() in text for host in REGISTRIES)
    ]

    assert naming == []


def test_no_large_file_is_committed() -> None:
    sizes = {str(path): (ROOT / path).stat().st_size for path in _files()}

    assert {path: size for path, size in sizes.items() if size > LARGEST_FILE} == {}


def test_no_front_end_code_of_others_is_committed() -> None:
    assert [path for path in _files() if VENDOR in path.parents] == []


def _files() -> list[Path]:
    """The files under version control, or about to be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.check_output(command, cwd=ROOT, text=True).split("\0")
    return [Path(name) for name in listed if name and (ROOT / name).is_file()]
