"""`keyturn tool`: the tools of the live releases."""

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api, Item
from keyturn.orchestrator.cli.arguments import AsJson

app = typer.Typer()

COLUMNS = ("name", "authority", "owner", "description")


@app.callback()
def about() -> None:
    """List the tools that models may call."""


@app.command("list")
def listing(*, as_json: AsJson = False) -> None:
    """List the tools of the live releases and their authority."""
    with Api() as api:
        found = api.items("/tools", most=1_000)
    if as_json:
        output.as_json(list(found))
        return
    output.table(
        [name.capitalize() for name in COLUMNS],
        [[*(tool.get(name) for name in COLUMNS[:-1]), _line(tool)] for tool in found],
    )


def _line(tool: Item) -> str:
    """Return the first paragraph of a tool's description for the model, on one line."""
    paragraph, _, _ = str(tool.get("description") or "").partition("\n\n")
    return " ".join(paragraph.split())
