"""Guards on what the distribution claims, carries and names."""

import json
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest

from hatch_build import FILES, VENDOR
from tests.architecture.wheel import ROOT, built_wheel, files, links

OWNED = "keyturn"
LARGEST_FILE = 1_000_000
# Put together here, so that this file does not name them either.
REGISTRIES = (
    "registry." + "npmjs",
    "registry." + "yarnpkg",
    "files." + "pythonhosted",
    "pypi." + "org",
    "deb." + "debian",
)


def test_no_other_distribution_ships_our_import_name() -> None:
    assert set(packages_distributions().get(OWNED, ["keyturn"])) == {"keyturn"}


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    with ZipFile(built_wheel(tmp_path_factory.mktemp("wheel"))) as wheel:
        return set(wheel.namelist())


def test_wheel_carries_every_front_end_file(wheel_names: set[str]) -> None:
    assert {str(Path(OWNED, VENDOR, name)) for name in FILES.values()} <= wheel_names


def test_wheel_says_that_its_package_is_typed(wheel_names: set[str]) -> None:
    assert f"{OWNED}/py.typed" in wheel_names


def test_wheel_carries_each_of_our_modules_once(wheel_names: set[str]) -> None:
    folders = [link.name for link in links()]
    ours = {str(Path(OWNED, path)) for path in files() if path.parts[0] in folders}

    assert len(folders) == 4
    assert ours <= wheel_names
    assert len(wheel_names) == len({name.lower() for name in wheel_names})


def test_wheel_carries_our_packages_and_nothing_else(wheel_names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel_names}

    assert {top for top in tops if not top.endswith(".dist-info")} == {OWNED}


def test_the_images_wheel_is_whole(tmp_path: Path, wheel_names: set[str]) -> None:
    # What Docker is given: `*` ignores all, a line with `!` takes a name back in.
    lines = (ROOT / ".dockerignore").read_text().split()
    given = [line[1:] for line in lines if line.startswith("!")]

    with ZipFile(built_wheel(tmp_path, only=given)) as wheel:
        assert set(wheel.namelist()) == wheel_names


def test_npm_lock_records_no_address() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())

    assert [
        name for name, entry in lock["packages"].items() if "resolved" in entry
    ] == []


def test_no_file_names_a_package_registry() -> None:
    naming = [
        str(path)
        for path in files()
        for text in [(ROOT / path).read_bytes()]
        if any(host.encode() in text for host in REGISTRIES)
    ]

    assert naming == []


def test_no_large_file_is_committed() -> None:
    sizes = {str(path): (ROOT / path).stat().st_size for path in files()}

    assert {path: size for path, size in sizes.items() if size > LARGEST_FILE} == {}


def test_no_front_end_code_of_others_is_committed() -> None:
    assert [path for path in files() if VENDOR in path.parents] == []
