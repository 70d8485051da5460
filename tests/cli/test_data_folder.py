"""What `keyturn dev` keeps is for its owner alone, also where it was made by others."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.dev import data


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    found = (folder, *folder.rglob("*"))
    return {str(one.relative_to(folder)): one.stat().st_mode & 0o777 for one in found}


def open_to_others(folder: Path) -> None:
    folder.mkdir()
    (folder / "logs").mkdir()
    for name in ("secrets.json", "keyturn.db", "logs/web.log", "people.json"):
        (folder / name).write_text("{}")
        (folder / name).chmod(0o644)


def test_a_new_folder_is_its_owners_alone(tmp_path: Path) -> None:
    with data.opened(tmp_path / "new") as made:
        made.save("ports.json", {})
        (made.logs / "web.log").write_text("x")

        assert {name: m for name, m in modes(made.root).items() if m & 0o077} == {}


def test_what_was_left_open_is_closed(tmp_path: Path) -> None:
    open_to_others(tmp_path / "old")

    with data.opened(tmp_path / "old") as made:
        found = modes(made.root)

    assert {name: mode for name, mode in found.items() if mode & 0o077} == {}
    assert found["secrets.json"] == 0o600
    assert found["logs"] == 0o700


def test_what_is_not_ours_stays_as_it_is(tmp_path: Path) -> None:
    open_to_others(tmp_path / "mine")
    others = tmp_path / "mine" / "holiday.jpg"
    others.write_text("x")
    others.chmod(0o644)

    with data.opened(tmp_path / "mine") as made:
        found = modes(made.root)

    assert (found["."], found["holiday.jpg"]) == (0o755, 0o644)
    closed = ("secrets.json", "keyturn.db", "logs", "logs/web.log", "people.json")
    assert [found[name] & 0o077 for name in closed] == [0] * len(closed)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("x")
    outside.chmod(0o644)
    open_to_others(tmp_path / "old")
    (tmp_path / "old" / "logs" / "link").symlink_to(outside)

    with data.opened(tmp_path / "old"):
        assert outside.stat().st_mode & 0o777 == 0o644
