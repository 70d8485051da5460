"""`keyturn budget`: the cost of models, and a larger budget for the runs it holds."""

from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api
from keyturn.orchestrator.cli.arguments import AsJson, Reason

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


@app.command("raise")
def raise_(  # noqa: PLR0913 options of a command
    scope: Annotated[
        str,
        typer.Argument(
            help="As `budget show` names it: 'run ID', 'tenant T on DAY', …"
        ),
    ],
    reason: Reason,
    *,
    usd: Annotated[
        str | None, typer.Option("--usd", help="Dollars it may use in all.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens", min=1, help="Tokens it may use in all.")
    ] = None,
    turns: Annotated[
        int | None,
        typer.Option("--turns", min=1, help="Turns the run may take in all."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a budget that holds runs to be raised; another person confirms."""
    wanted = {"usd": usd, "tokens": tokens, "turns": turns}
    given = {name: value for name, value in wanted.items() if value is not None}
    with Api() as api:
        made = api.post("/budgets:raise", {"scope": scope, "reason": reason, **given})
    if as_json:
        output.as_json(made)
        return
    output.line(
        f"Nothing is raised yet: another operator or admin confirms it with keyturn "
        f"proposal confirm {made['id']} (until {output.moment(made['ends_at'])}); then "
        "what it holds goes on."
    )
