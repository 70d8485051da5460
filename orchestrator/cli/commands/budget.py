"""`keyturn budget`: what models have cost, and requests to raise a budget."""

from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api
from keyturn.orchestrator.cli.arguments import AsJson, Reason

app = typer.Typer()


@app.callback()
def about() -> None:
    """Show what models have cost and what is left; raise a budget."""


@app.command()
def show(*, as_json: AsJson = False) -> None:
    """Show each budget: used, reserved for open model calls, and left."""
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
def raise_(  # noqa: PLR0913 typer needs one parameter per option
    scope: Annotated[
        str,
        typer.Argument(
            help="The budget, as in `budget show`: 'run ID', 'tenant T on DAY', …"
        ),
    ],
    reason: Reason,
    *,
    usd: Annotated[
        str | None, typer.Option("--usd", help="The new total in US dollars.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens", min=1, help="The new total in tokens.")
    ] = None,
    turns: Annotated[
        int | None,
        typer.Option("--turns", min=1, help="The new total of the run's turns."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Request a larger budget for the runs that it holds.

    Another person confirms it.
    """
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
        "the runs that it holds continue."
    )
