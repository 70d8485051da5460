"""Whether the schema of a database matches this code.

Alembic is only loaded if it does not: loading takes longer than the check, which every
process and command makes.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import make_url

from keyturn.orchestrator.store import migrations
from keyturn.orchestrator.store.db.database import Store

REMEDY = "run `keyturn db upgrade`"
# Revisions are numbered: their files begin with four digits.
_NUMBERED = "[0-9][0-9][0-9][0-9]_*.py"


async def check(url: str) -> str | None:
    """Return what to do about the schema, or None if it is current."""
    if _is_missing(url):
        return f"The database has no schema yet: {REMEDY}."
    store = Store(url)
    try:
        async with store.read() as session:
            connection = await session.connection()
            found = await connection.run_sync(of)
    finally:
        await store.close()
    if found == newest():
        return None
    from keyturn.orchestrator.store import migrate  # noqa: PLC0415 see above

    return migrate.advice(found)


def newest() -> str:
    """Return the revision that this code needs."""
    versions = Path(migrations.__file__).parent / "versions"
    return max(path.name[:4] for path in versions.glob(_NUMBERED))


def of(connection: Connection) -> str | None:
    """Return the revision of a database, or None if it has no schema."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    query = text("SELECT version_num FROM alembic_version")
    return connection.execute(query).scalar_one_or_none()


def _is_missing(url: str) -> bool:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return False
    return not Path(parsed.database).exists()
