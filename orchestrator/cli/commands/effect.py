"""`keyturn effect`: the effect ledger, and people's findings, through the HTTP API."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api, Item
from keyturn.orchestrator.cli.arguments import AsJson, Most, Reason

app = typer.Typer()

COLUMNS = ("Effect", "Tool", "Status", "Money", "Customer", "Subject")
Named = Annotated[str, typer.Argument(help="The effect's key.")]


class How(StrEnum):
    """How something that was done failed later."""

    FAILED = "failed"
    REVERSED = "reversed"


@app.callback()
def about() -> None:
    """See what was sent, and record what really happened."""


@app.command("list")
def listing(
    *,
    status: Annotated[str | None, typer.Option(help="Only these.")] = None,
    run: Annotated[str | None, typer.Option(help="Of this run.")] = None,
    limit: Most = 50,
    as_json: AsJson = False,
) -> None:
    """List effects, those of the newest run first."""
    with Api() as api:
        found = api.items("/effects", {"status": status, "run": run}, most=limit)
    if as_json:
        output.as_json(list(found))
        return
    output.table(COLUMNS, [_row(one) for one in found])


@app.command()
def show(effect: Named, *, as_json: AsJson = False) -> None:
    """Show one effect."""
    with Api() as api:
        found = api.get(f"/effects/{effect}")
    output.as_json(found) if as_json else output.pairs(found)


@app.command()
def record(
    effect: Named,
    *,
    happened: Annotated[
        bool,
        typer.Option(
            "--happened/--did-not-happen",
            help="Of one that failed later: whether it stayed done.",
        ),
    ],
    evidence: Annotated[str, typer.Option(help="How you know.")],
    as_json: AsJson = False,
) -> None:
    """Record what really happened to an unknown effect, or to one that was reopened."""
    body = {"happened": happened, "evidence": evidence}
    _post(f"/effects/{effect}:record", body, as_json=as_json)


@app.command()
def lookup(effect: Named, *, as_json: AsJson = False) -> None:
    """Let the tool look an unknown effect up now; the effect worker does it."""
    _post(f"/effects/{effect}:lookup", {}, as_json=as_json)


@app.command()
def reopen(
    effect: Named,
    *,
    how: Annotated[How, typer.Option(help="What the provider says.")],
    words: Annotated[str, typer.Option(help="What is known of it.")],
    reference: Annotated[
        str | None, typer.Option(help="The provider's own number.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say that what was done failed later at the provider; it comes back to people."""
    body = {"how": how.value, "words": words, "reference": reference}
    _post(f"/effects/{effect}:reopen", body, as_json=as_json)


@app.command()
def compensate(effect: Named, reason: Reason, *, as_json: AsJson = False) -> None:
    """Ask that a done effect is taken back: an action in a run of its own, once."""
    with Api() as api:
        done = api.post(f"/effects/{effect}:compensate", {"reason": reason})
    output.as_json(done) if as_json else output.line(f"Asked for in {done['id']}.")


def _post(path: str, body: Mapping[str, object], *, as_json: bool) -> None:
    with Api() as api:
        done = api.post(path, body)
    if as_json:
        output.as_json(done)
        return
    output.line(f"{done['key']} is {done['status']}.")


def _row(effect: Item) -> list[object]:
    money = effect["money"]
    shown = money["text"] if isinstance(money, dict) else None
    back = " (failed later: find out)" if effect["reopened_at"] else ""
    return [
        effect["key"],
        effect["tool"],
        f"{effect['status']}{back}",
        shown,
        effect["customer"],
        effect["subject"],
    ]
