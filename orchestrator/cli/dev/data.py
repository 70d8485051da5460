"""The data folder: what a development installation keeps between two starts.

Uses only the standard library: the supervisor holds the folder for as long as it runs.
"""

import fcntl
import json
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keyturn.orchestrator.processes.exit_status import Ended

if TYPE_CHECKING:
    from pydantic import JsonValue

# The same as `Settings.data_dir`, which would take this process too long to load.
FOLDER = ".keyturn"
# The suffixes of SQLite's files beside a database.
BESIDE = ("", "-wal", "-shm", "-journal")
FILES = ("ports", "people", "secrets")
# All names in the folder.
OURS = frozenset(
    {
        *("logs", "mail", "shop", "lock"),
        *(f"{name}{end}" for name in ("keyturn.db", "temporal.db") for end in BESIDE),
        *(f"{name}.json{end}" for name in FILES for end in ("", ".part")),
    }
)


class AlreadyRuns(Ended):
    """Another process uses this data folder."""


class Unusable(Ended):
    """The data folder cannot be written, or a file in it was damaged."""


@dataclass(frozen=True)
class Data:
    """The paths in the data folder; `root` is absolute."""

    root: Path

    @property
    def logs(self) -> Path:
        """Return the folder of the children's logs."""
        return self.root / "logs"

    @property
    def mail(self) -> Path:
        """Return the folder of the mailbox."""
        return self.root / "mail"

    @property
    def temporal(self) -> Path:
        """Return Temporal's own database."""
        return self.root / "temporal.db"

    @property
    def shop(self) -> Path:
        """Return the folder of the demo shop."""
        return self.root / "shop"

    @property
    def database(self) -> Path:
        """Return the file of the store."""
        return self.root / "keyturn.db"

    def load(self, name: str) -> "JsonValue":
        """Return a file's JSON, or None where there is no such file."""
        try:
            return json.loads((self.root / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            raise self.damaged(name) from None

    def save(self, name: str, value: "JsonValue") -> None:
        """Store JSON that only this user may read; atomically."""
        part = self.root / f"{name}.part"
        part.unlink(missing_ok=True)
        with os.fdopen(
            os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
        ) as file:
            json.dump(value, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.root / name)

    def damaged(self, name: str) -> Unusable:
        """Return the error that a file does not contain what was written into it."""
        return Unusable(
            f"{self.root / name} is damaged; restore it, or remove the folder "
            f"{self.root} to start afresh."
        )


@contextmanager
def opened(folder: Path) -> Generator[Data]:
    """Yield the data folder, held by this process alone."""
    root = folder.expanduser().resolve()
    # For this process and all its children: only the owner may read their files.
    os.umask(0o077)
    try:
        root.mkdir(parents=True, exist_ok=True)
        data = Data(root)
        for part in (data.logs, data.mail, data.shop):
            part.mkdir(exist_ok=True)
        lock = (root / "lock").open("a+")
    except OSError as error:
        raise Unusable(
            f"The data folder {root} cannot be used: {error.strerror}. Give another "
            "with --data-dir."
        ) from None
    with lock:
        _hold(lock.fileno(), root)
        _close(data)
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield data


def _close(data: Data) -> None:
    """Remove others' access that an earlier version, or somebody else, left open.

    In a folder with files of others, only our own files are changed.
    """
    every = list(data.root.iterdir())
    ours = [one for one in every if one.name in OURS and not one.is_symlink()]
    within = [one for part in ours if part.is_dir() for one in part.rglob("*")]
    is_all = all(one.name in OURS for one in every)
    for one in [*([data.root] if is_all else []), *ours, *within]:
        # A file that is gone by now, or is another user's, is left to its next reader.
        with suppress(OSError):
            mode = one.lstat().st_mode
            if not stat.S_ISLNK(mode):
                one.chmod(mode & 0o700)


def _hold(lock: int, root: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = (root / "lock").read_text() or "unknown"
        raise AlreadyRuns(
            f"Keyturn already runs in {root} (process {holder}). Stop it, or give "
            "another folder with --data-dir."
        ) from None
