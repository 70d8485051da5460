"""`keyturn release`: what shaped each run's behaviour."""

from typing import Annotated

import typer

from orchestrator.cli import output
from orchestrator.cli.api import Api
from orchestrator.cli.arguments import AsJson, Most

app = typer.Typer()

COLUMNS = ("workflow", "hash", "code_version", "created_at", "live_since")


@app.callback()
def about() -> None:
    """See the releases that shape behaviour."""


@app.command("list")
def listing(
    *,
    workflow: Annotated[str | None, typer.Option(help="Only of this workflow.")] = None,
    limit: Most = 50,
    as_json: AsJson = False,
) -> None:
    """List releases, newest first."""
    with Api() as api:
        found = api.items("/releases", {"workflow": workflow}, most=limit)
    if as_json:
        output.as_json(list(found))
        return
    output.table(
        [name.replace("_", " ").capitalize() for name in COLUMNS],
        [[release.get(name) for name in COLUMNS] for release in found],
    )
