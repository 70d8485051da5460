"""`keyturn notice`: notices and their delivery, and the mails that a person receives."""

from enum import StrEnum
from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api, Item
from keyturn.orchestrator.cli.arguments import AsJson, Most
from keyturn.orchestrator.processes.exit_status import WrongUsage

app = typer.Typer()

COLUMNS = ("Notice", "Kind", "To", "State", "Tries", "Last error", "Next try")


class State(StrEnum):
    """The state of a notice's delivery."""

    DEAD = "dead"
    DUE = "due"
    SENT = "sent"


@app.callback()
def about() -> None:
    """List notices; send those again that could not be delivered."""


@app.command("list")
def listing(
    *,
    state: Annotated[
        State,
        typer.Option(help="Only notices in this state; dead: delivery was given up."),
    ] = (State.DEAD),
    limit: Most = 50,
    as_json: AsJson = False,
) -> None:
    """List notices, newest first: by default the dead letters."""
    with Api() as api:
        found = api.items("/notices", {"state": state.value}, most=limit)
    if as_json:
        output.as_json(list(found))
        return
    output.table(COLUMNS, [_row(one) for one in found])


@app.command()
def retry(
    notice: Annotated[int | None, typer.Argument(help="The notice's id.")] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Retry all dead letters.")
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(help="Retry all dead letters of this webhook or person."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again: one, or many."""
    if sum((notice is not None, every, target is not None)) != 1:
        raise WrongUsage("Give either a notice's id, --target or --all.")
    with Api() as api:
        if notice is not None:
            done = api.post(f"/notices/{notice}:retry", {})
        else:
            done = api.post("/notices:retry", {"target": target})
    if as_json:
        output.as_json(done)
        return
    output.line(f"Queued again: {done.get('retried', 1)}.")


@app.command()
def mail(
    kinds: Annotated[
        list[str] | None, typer.Argument(help="Receive mail only about these kinds.")
    ] = None,
    *,
    none: Annotated[bool, typer.Option("--none", help="Receive no mail.")] = False,
    usual: Annotated[
        bool, typer.Option("--usual", help="Receive mail about the default kinds.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which notices you receive by mail, or choose them."""
    if sum((bool(kinds), none, usual)) > 1:
        raise WrongUsage("Give either kinds, --none or --usual.")
    with Api() as api:
        if kinds or none:
            found = api.put("/me/notices", {"mail": kinds or []})
        elif usual:
            found = api.put("/me/notices", {"mail": None})
        else:
            found = api.get("/me/notices")
    if as_json:
        output.as_json(found)
        return
    output.pairs({"Mailed about": found["mail"], "Chosen": found["chosen"]})


def _row(notice: Item) -> list[object]:
    return [
        notice["id"],
        notice["kind"],
        notice["target_name"],
        notice["state"],
        notice["tries"],
        notice["last_error"],
        notice["due_at"] if notice["state"] == "due" else None,
    ]
