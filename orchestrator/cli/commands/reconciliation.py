"""`keyturn matching`: compares the ledger with the statement and the mail log."""

import time
from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api, Item, items_in
from keyturn.orchestrator.cli.arguments import AsJson, Most
from keyturn.orchestrator.processes.exit_status import Away, Ended

app = typer.Typer()

COLUMNS = ("Matching", "Status", "Asked by", "Until", "Statement", "Mail log")
SIDES = {"statement": "Statement", "mail": "Mail log"}
LOOK_S = 0.5


@app.callback()
def about() -> None:
    """Compare the ledger with the statement and the mail log."""


@app.command("run")
def run_one(
    *,
    within: Annotated[
        int,
        typer.Option(
            min=0, help="How many seconds to wait for the result; 0: do not wait."
        ),
    ] = 60,
    as_json: AsJson = False,
) -> None:
    """Match now. Exit status: 1 something differs, 3 a book could not be read."""
    with Api() as api:
        found = api.post("/matchings", {})
        end = time.monotonic() + within
        while found["ended_at"] is None and time.monotonic() < end:
            time.sleep(LOOK_S)
            found = api.get(f"/matchings/{found['id']}")
    output.as_json(found) if as_json else _show(found)
    _judge(found, within=within)


@app.command("list")
def listing(*, limit: Most = 20, as_json: AsJson = False) -> None:
    """List matchings, newest first."""
    with Api() as api:
        found = api.items("/matchings", most=limit)
    if as_json:
        output.as_json(list(found))
        return
    output.table(COLUMNS, [_row(one) for one in found])


@app.command()
def show(
    matching: Annotated[str, typer.Argument(help="The matching's id.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show a matching, with what differs."""
    with Api() as api:
        found = api.get(f"/matchings/{matching}")
    output.as_json(found) if as_json else _show(found)


def _judge(found: Item, *, within: int) -> None:
    """Raise the exit status of a matching."""
    if found["ended_at"] is None:
        if within:
            raise Away(
                f"{found['id']} is {found['status']} after {within} s. Is a worker "
                f"running? Look again with `keyturn matching show {found['id']}`."
            )
        return
    if found["status"] != "matched":
        words = [str(one["words"]) for one in _sides(found).values() if one["words"]]
        raise Away(" ".join(words))
    differing = sum(int(str(one["differing"])) for one in _sides(found).values())
    if differing:
        raise Ended(f"Differences found: {differing}. Each has an incident.")


def _show(found: Item) -> None:
    output.pairs({"Matching": found["id"], "Status": found["status"]})
    for name, side in _sides(found).items():
        output.line(f"{SIDES[name]}: {_words(side)}")
        for one in items_in(side, "differences"):
            output.line(f"  {one['kind']} {one['key']}: {one['words']}")


def _sides(found: Item) -> dict[str, Item]:
    given = {name: found.get(name) for name in SIDES}
    return {name: side for name, side in given.items() if isinstance(side, dict)}


def _words(side: Item) -> str:
    if side["state"] != "matched":
        return str(side["words"])
    return f"{side['read']} read, {side['differing']} differ"


def _row(found: Item) -> list[object]:
    sides = _sides(found)
    shown = [_words(sides[name]) if name in sides else None for name in SIDES]
    return [found["id"], found["status"], found["asked_name"], found["until"], *shown]
