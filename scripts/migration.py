"""Writes a revision of the schema from the tables.

`python scripts/migration.py` makes the one initial revision anew, as long as nobody has
data that has to be kept; `python scripts/migration.py "words"` adds one after the last.
"""

import asyncio
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from keyturn.orchestrator.store import migrate, migrations
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import types

VERSIONS = Path(migrations.__file__).parent / "versions"


async def main(words: str | None) -> None:
    """Write the revision, formatted as everything else."""
    if words is None:
        for old in VERSIONS.glob("*.py"):
            old.unlink()
    known = set(VERSIONS.glob("*.py"))
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/empty.sqlite"
        if words is not None:
            await migrate.upgrade(url)
        store = Store(url)
        async with store.engine.connect() as connection:
            await connection.run_sync(_write, words)
        await store.close()
    for new in set(VERSIONS.glob("*.py")) - known:
        new.write_text(_by_columns(new.read_text()))
    _format()


def _by_columns(revision: str) -> str:
    """What a type of ours scrubs on its way in is a plain column to the database."""
    for ours, plain in ((types.Scrubbed, "String"), (types.ScrubbedJson, "JSON")):
        name = f"{ours.__module__}.{ours.__name__}"
        for written in (name, f"sa.{ours.__name__}"):
            revision = revision.replace(f"{written}()", f"sa.{plain}()")
    return revision


def _write(connection: Connection, words: str | None) -> None:
    settings = _config(connection)
    number = len(list(VERSIONS.glob("*.py"))) + 1
    command.revision(
        settings,
        message=words or "The initial schema",
        rev_id=f"{number:04}",
        autogenerate=True,
    )


def _config(connection: Connection) -> Config:
    settings = migrate.config()
    settings.attributes["connection"] = connection
    return settings


def _format() -> None:
    ruff = Path(sysconfig.get_path("scripts"), "ruff")
    subprocess.run([ruff, "check", "--fix", "--quiet", VERSIONS], check=False)
    subprocess.run([ruff, "format", "--quiet", VERSIONS], check=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if sys.argv[1:] else None))
