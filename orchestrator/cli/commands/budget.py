"""`keyturn budget`: what models have cost."""

import typer

from orchestrator.cli import output
from orchestrator.cli.api import Api
from orchestrator.cli.arguments import AsJson

app = typer.Typer()


@app.callback()
def about() -> None:
    """See what models have cost, and what is left."""


@app.command()
def show(*, as_json: AsJson = False) -> None:
    """Show each budget: used, held for calls that are open, and left."""
    with Api() as api:
        found = api.items("/budgets", most=1_000)
    if as_json:
        output.as_json(list(found))
        return
    names = list(dict.fromkeys(name for one in found for name in one))
    output.table(
        [name.replace("_", " ").capitalize() for name in names],
        [[budget.get(name) for name in names] for budget in found],
    )
