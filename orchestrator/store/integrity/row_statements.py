"""What a walk through the audit log says of rows, kept in a file to save memory."""

import sqlite3
from collections.abc import Collection, Iterable
from contextlib import closing
from types import TracebackType
from typing import Self

# Older versions of SQLite take fewer parameters.
AT_ONCE = 500


class Said:
    """The latest digest of each row by its name, and whether the row was found."""

    def __init__(self) -> None:
        """Open a private temporary file of SQLite, which is deleted on closing."""
        # A thread takes in a page at a time, one after the other.
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._file.execute("PRAGMA synchronous=OFF")
        self._file.execute("PRAGMA journal_mode=OFF")
        self._file.execute(
            "CREATE TABLE said (name TEXT PRIMARY KEY, digest TEXT, entry INTEGER, "
            "found INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID"
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close and delete the file."""
        self._file.close()

    def take(self, said: Iterable[tuple[str, str | None, int]]) -> None:
        """Store names with digests and entries' ids; later ones replace earlier."""
        self._file.execute("BEGIN")
        self._file.executemany(
            "INSERT INTO said (name, digest, entry) VALUES (?, ?, ?) ON CONFLICT (name) "
            "DO UPDATE SET digest = excluded.digest, entry = excluded.entry",
            said,
        )
        self._file.execute("COMMIT")

    def of(self, names: Collection[str]) -> dict[str, tuple[str | None, int]]:
        """Return the digests and entries of at most 500 names."""
        marks = ", ".join("?" * len(names))
        query = f"SELECT name, digest, entry FROM said WHERE name IN ({marks})"  # noqa: S608 marks alone
        with closing(self._file.execute(query, list(names))) as rows:
            return {name: (digest, entry) for name, digest, entry in rows}

    def found(self, names: Collection[str]) -> None:
        """Mark these rows as correct."""
        self._file.execute("BEGIN")
        self._file.executemany(
            "UPDATE said SET found = 1 WHERE name = ?", [(name,) for name in names]
        )
        self._file.execute("COMMIT")

    def unfound(self, *, after: str) -> list[str]:
        """Return a page of names whose rows should exist and were not found."""
        query = (
            "SELECT name FROM said WHERE found = 0 AND digest IS NOT NULL AND name > ? "
            "ORDER BY name LIMIT ?"
        )
        with closing(self._file.execute(query, (after, AT_ONCE))) as rows:
            return [name for (name,) in rows]
