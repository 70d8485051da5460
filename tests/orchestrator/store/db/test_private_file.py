"""An SQLite file is its owner's alone; to see to that costs no lock on it."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from keyturn.orchestrator.store import migrate
from keyturn.orchestrator.store.db import sqlite
from keyturn.orchestrator.store.db.database import Store

OTHER = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0, "
    "isolation_level=None); c.execute('BEGIN IMMEDIATE')"
)


def can_another_process_write(file: Path) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", OTHER, str(file)], capture_output=True, check=False
    )
    return done.returncode == 0


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


@pytest.mark.parametrize("kind", ["WAL", "DELETE"])
def test_what_this_process_has_locked_stays_locked(tmp_path: Path, kind: str) -> None:
    """To close any descriptor of a file drops all of its process's POSIX locks on it."""
    file = tmp_path / "keyturn.db"
    with sqlite3.connect(file, isolation_level=None) as mine:
        mine.execute(f"PRAGMA journal_mode={kind}")
        mine.execute("CREATE TABLE t (x)")
        mine.execute("BEGIN IMMEDIATE")

        sqlite.keep_private(file)

        assert not can_another_process_write(file)
        mine.execute("COMMIT")
    assert can_another_process_write(file)


async def test_a_new_database_and_what_lies_beside_it_are_its_owners(
    tmp_path: Path,
) -> None:
    file = tmp_path / "folder" / "keyturn.db"
    url = f"sqlite+aiosqlite:///{file}"
    await migrate.upgrade(url)
    store = Store(url)
    async with store.write():
        found = {one.name: mode(one) for one in file.parent.iterdir()}
    await store.close()

    assert mode(file.parent) == 0o700
    assert set(found.values()) == {0o600}


def test_one_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "keyturn.db"
    file.write_bytes(b"")
    file.chmod(0o644)

    sqlite.keep_private(file)

    assert mode(file) == 0o600


def test_a_database_in_memory_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    sqlite.keep_private(Path(":memory:"))

    assert list(tmp_path.iterdir()) == []
