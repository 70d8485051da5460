"""`keyturn db`: the schema of the configured database."""

import asyncio

import typer

from orchestrator import settings
from orchestrator.cli import output
from orchestrator.store import migrate, revision

app = typer.Typer()


@app.callback()
def about() -> None:
    """Bring the database's schema up to date."""


@app.command()
def upgrade() -> None:
    """Migrate the database of KEYTURN_DATABASE_URL to the newest schema."""
    url = settings.read().database_url
    needed = asyncio.run(_upgrade(url))
    output.line("The schema was brought up to date." if needed else "Nothing to do.")


async def _upgrade(url: str) -> bool:
    if await revision.check(url) is None:
        return False
    await migrate.upgrade(url)
    return True
