"""`keyturn db`: the schema of the configured database."""

import asyncio

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.processes.database import voucher
from keyturn.orchestrator.rules import settings
from keyturn.orchestrator.rules.authority.binding import Signer
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store import migrate, revision
from keyturn.orchestrator.store.migrate import Keys

app = typer.Typer()


@app.callback()
def about() -> None:
    """Upgrade the database's schema."""


@app.command()
def upgrade() -> None:
    """Upgrade the database's schema and its roles' grants.

    Works on the database of KEYTURN_DATABASE_URL. Rows of an earlier version that have
    no signature yet are signed once, which needs KEYTURN_SECRET_KEY and the private
    KEYTURN_DECISION_KEY.
    """
    found = settings.read()
    is_new, granted = asyncio.run(_upgrade(found))
    output.line("The schema was upgraded." if is_new else "The schema is current.")
    if granted:
        output.line(f"Grants were given to {', '.join(granted)}.")


async def _upgrade(found: Settings) -> tuple[bool, list[str]]:
    is_new = await revision.check(found.database_url) is not None
    return is_new, await migrate.upgrade(found.database_url, _keys(found))


def _keys(found: Settings) -> Keys | None:
    own, decision = voucher(found), found.decision_key
    if own is None or decision is None:
        return None
    return Keys(own, Signer(decision.get_secret_value()))
