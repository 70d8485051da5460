"""The schema of a database, brought up to date."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncSession

from orchestrator.store import migrations
from orchestrator.store.engine import Store
from orchestrator.store.revision import REMEDY

# Held for the length of an upgrade, so that two processes do not both create.
UPGRADE_LOCK = 0x4B455955
# So long a process waits for another's upgrade of the same file.
UPGRADE_WAIT_S = 120.0


async def upgrade(url: str) -> None:
    """Bring the database to the newest revision, all of it or nothing.

    Safe from any number of processes at once: the later ones find the work done.
    """
    store = Store(url)
    try:
        async with store.write(wait_s=UPGRADE_WAIT_S) as session:
            if not store.is_sqlite:
                await _wait_alone(session)
            connection = await session.connection()
            await connection.run_sync(_upgrade)
    finally:
        await store.close()


def config() -> Config:
    """Return Alembic's settings; the revisions lie in this package, installed or not."""
    settings = Config()
    settings.set_main_option("path_separator", "newline")
    settings.set_main_option(
        "script_location", str(Path(migrations.__file__).parent).replace("%", "%%")
    )
    return settings


async def _wait_alone(session: AsyncSession) -> None:
    # Another process's upgrade may take longer than the transactions of the product.
    await session.execute(text("SELECT set_config('transaction_timeout', '0', true)"))
    await session.execute(
        text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK}
    )


def _upgrade(connection: Connection) -> None:
    settings = config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")


def advice(revision: str | None) -> str | None:
    """Return what to do about a database at this revision, or None: it is current."""
    revisions = ScriptDirectory.from_config(config())
    wanted = revisions.get_current_head()
    if revision == wanted:
        return None
    if revision is None:
        return f"The database has no schema yet: {REMEDY}."
    if revision not in {known.revision for known in revisions.walk_revisions()}:
        return (
            f"The database is at revision {revision}, which this version does not "
            "know: start the version of Keyturn that upgraded it, or a later one."
        )
    return f"The database is at revision {revision}, not {wanted}: {REMEDY}."
