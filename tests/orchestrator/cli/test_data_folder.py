"""What `keyturn dev` keeps is for its owner alone, also where it was made by others."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyturn.orchestrator.cli.dev import data, keys


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


@pytest.mark.parametrize("name", ["logs/link", "shop"])
def test_a_link_is_not_followed(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("x")
    for one in (outside, outside / "file"):
        one.chmod(0o755)
    open_to_others(tmp_path / "old")
    (tmp_path / "old" / name).symlink_to(outside)

    with data.opened(tmp_path / "old"):
        assert outside.stat().st_mode & 0o777 == 0o755
        assert (outside / "file").stat().st_mode & 0o777 == 0o755


def test_what_is_only_called_alike_stays_as_it_is(tmp_path: Path) -> None:
    names = ("shopping", "shop.py", "mailer", "logs2", "lockers", "keyturn.db.backup")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755)

    with data.opened(tmp_path):
        assert {(tmp_path / name).stat().st_mode & 0o777 for name in names} == {0o755}


def test_a_second_start_is_told_so_whatever_the_first_is_writing(
    tmp_path: Path,
) -> None:
    with data.opened(tmp_path / "new") as first:
        first.save("ports.json", {})
        with (
            pytest.raises(data.AlreadyRuns, match="already runs"),
            data.opened(tmp_path / "new"),
        ):
            raise AssertionError("it began")


def test_a_folder_of_before_there_were_payload_keys_reads_what_it_has(
    tmp_path: Path,
) -> None:
    with data.opened(tmp_path / "old") as folder:
        first = keys.of(folder)
        kept = first.model_dump(exclude={"payload_keys"})
        folder.save(keys.FILE, kept)

        found = keys.of(folder)

        assert ",plain" not in first.payload_keys
        assert found.payload_keys.endswith(",plain")
        # The same at each later start: what it sealed is read, too.
        assert keys.of(folder) == found
        assert found.model_dump(exclude={"payload_keys"}) == kept
