"""`keyturn run`: runs, through the HTTP API."""

from collections.abc import Mapping
from typing import Annotated, cast

import typer

from orchestrator.cli import arguments, output
from orchestrator.cli.api import Api, Item
from orchestrator.cli.arguments import AsJson, Most, Reason
from orchestrator.cli.exit_status import WrongUsage

app = typer.Typer()

COLUMNS = ("Run", "Workflow", "Status", "Customer", "Turns", "Cost", "Waits for")
Run = Annotated[str, typer.Argument(help="The run's id.", show_default=False)]
OneRun = Annotated[str | None, typer.Argument(help="The run's id.", show_default=False)]
AllOf = Annotated[
    str | None, typer.Option("--workflow", help="All open runs of this workflow.")
]


@app.callback()
def about() -> None:
    """Start, watch, pause, resume and cancel runs."""


@app.command()
def start(  # noqa: PLR0913 options of a command
    workflow: Annotated[str, typer.Argument(help="The workflow's name.")],
    given: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="The input as JSON, @FILE, or - for standard input."
        ),
    ],
    *,
    tenant: Annotated[str | None, typer.Option(help="Whom the run is for.")] = None,
    source: Annotated[str | None, typer.Option(help="Where it comes from.")] = None,
    external_id: Annotated[
        str | None, typer.Option(help="Its id there: twice gives the first run.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start a run."""
    body = {
        "workflow": workflow,
        "input": arguments.read_object(given, what="INPUT"),
        "tenant": tenant,
        "source": source,
        "external_id": external_id,
    }
    with Api() as api:
        _show(api.post("/runs", body), as_json=as_json)


@app.command("list")
def listing(  # noqa: PLR0913 options of a command
    *,
    workflow: Annotated[str | None, typer.Option(help="Only of this workflow.")] = None,
    status: Annotated[str | None, typer.Option(help="Only in this status.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only of this customer.")] = None,
    limit: Most = 50,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    wanted = {
        "workflow": workflow,
        "status": status,
        "tenant": tenant,
        "customer": customer,
    }
    with Api() as api:
        found = api.items("/runs", wanted, most=limit)
    if as_json:
        output.as_json(list(found))
        return
    output.table(COLUMNS, [_row(run) for run in found])


@app.command()
def show(run: Run, *, as_json: AsJson = False) -> None:
    """Show one run."""
    with Api() as api:
        _show(api.get(f"/runs/{run}"), as_json=as_json)


@app.command()
def trace(run: Run) -> None:
    """Print everything that is recorded about a run, as JSON."""
    with Api() as api:
        output.as_json(api.get(f"/runs/{run}/trace"))


@app.command()
def pause(
    reason: Reason,
    run: OneRun = None,
    *,
    workflow: AllOf = None,
    as_json: AsJson = False,
) -> None:
    """Hold a run: no model is called and nothing is sent until it is resumed."""
    _hold("pause", run, workflow, reason, as_json=as_json)


@app.command()
def resume(
    reason: Reason,
    run: OneRun = None,
    *,
    workflow: AllOf = None,
    as_json: AsJson = False,
) -> None:
    """Let a paused run go on."""
    _hold("resume", run, workflow, reason, as_json=as_json)


@app.command()
def cancel(
    reason: Reason,
    run: OneRun = None,
    *,
    workflow: AllOf = None,
    as_json: AsJson = False,
) -> None:
    """End a run; what is being sent at this moment is still recorded."""
    _hold("cancel", run, workflow, reason, as_json=as_json)


def _hold(
    verb: str, run: str | None, workflow: str | None, reason: str, *, as_json: bool
) -> None:
    if (run is None) == (workflow is None):
        raise WrongUsage(f"Name one run to {verb}, or a workflow with --workflow.")
    with Api() as api:
        if run is not None:
            _show(api.post(f"/runs/{run}:{verb}", {"reason": reason}), as_json=as_json)
            return
        body = {"filter": {"workflow": workflow}, "reason": reason}
        _show_many(_all(api, f"/runs:{verb}", body), as_json=as_json)


def _all(api: Api, path: str, body: Mapping[str, object]) -> list[Item]:
    """Ask until no more runs match."""
    found: list[Item] = []
    while True:
        answer = api.post(path, body)
        found += cast("list[Item]", answer.get("items") or [])
        if not answer.get("more"):
            return found


def _show_many(found: list[Item], *, as_json: bool) -> None:
    if as_json:
        output.as_json(list(found))
        return
    rows = [[one["run"], one["status"], one["problem"]] for one in found]
    output.table(("Run", "Status", "Problem"), rows)


def _row(run: Item) -> list[object]:
    stopped = f" by {run['stopped_words']}" if run.get("stopped_by") else ""
    held = cast("list[Item]", run.get("held_calls") or [])
    if held and not stopped:
        stopped = f", {held[0]['tool']} held by {held[0]['held_words']}"
    return [
        run["id"],
        run["workflow"],
        f"{run['status']}{stopped}",
        run["customer"],
        run["turns"],
        f"${run['cost_usd']}",
        len(run["pending"]) if isinstance(run["pending"], list) else None,
    ]


def _show(run: Item, *, as_json: bool) -> None:
    if as_json:
        output.as_json(run)
        return
    held = cast("list[Item]", run.get("held_calls") or [])
    words = [
        f"{one['tool']} ({one['call']}) by {one['held_words']}, since "
        f"{output.moment(one['held_at'])}"
        for one in held
    ]
    output.pairs({**run, "held_calls": words})
