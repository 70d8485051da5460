"""`keyturn audit`: the chained log of what happened."""

import asyncio
import json
import sys
from typing import Annotated

import typer

from orchestrator import settings
from orchestrator.cli import output
from orchestrator.cli.api import Api
from orchestrator.cli.arguments import AsJson
from orchestrator.cli.exit_status import Ended
from orchestrator.store import audit
from orchestrator.store.audit import Finding
from orchestrator.store.engine import Store

app = typer.Typer()


@app.callback()
def about() -> None:
    """Verify and export the audit log."""


@app.command()
def verify(
    *,
    checkpoint: Annotated[
        str | None, typer.Option(help="A head hash that was published earlier.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk the whole chain in the database of KEYTURN_DATABASE_URL.

    Exit status 1 where a sealed row was changed, removed or put in.
    """
    found = asyncio.run(_verify(settings.read().database_url, checkpoint))
    if as_json:
        output.as_json(found.model_dump(mode="json"))
    if found.broken_at is not None:
        raise Ended(
            f"The audit log is broken at row {found.broken_at}: {found.why}. The rows "
            f"before it are intact; compare with a backup from before {found.head}."
        )
    if not as_json:
        output.line(
            f"{found.sealed} rows are intact, {found.unsealed} are not sealed yet. "
            f"Head: {found.head}"
        )


@app.command()
def export(
    *,
    run: Annotated[str | None, typer.Option(help="Only of this run.")] = None,
) -> None:
    """Print the log as JSON, a row a line."""
    with Api() as api:
        for row in api.each("/audit", {"run": run}):
            sys.stdout.write(json.dumps(row) + "\n")


async def _verify(url: str, checkpoint: str | None) -> Finding:
    store = Store(url)
    try:
        return await audit.verify(store, checkpoint=checkpoint)
    finally:
        await store.close()
