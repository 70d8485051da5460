"""`keyturn run`: runs, through the HTTP API."""

from typing import Annotated

import typer

from keyturn.orchestrator.cli import arguments, output
from keyturn.orchestrator.cli.api import Api, Item, items_in
from keyturn.orchestrator.cli.arguments import AsJson, Most, Reason
from keyturn.orchestrator.processes.exit_status import WrongUsage
from keyturn.orchestrator.rules.text import json_object

app = typer.Typer()

COLUMNS = ("Run", "Workflow", "Status", "Customer", "Turns", "Cost", "Waits for")
Run = Annotated[str, typer.Argument(help="The run's id.", show_default=False)]
OneRun = Annotated[str | None, typer.Argument(help="The run's id.", show_default=False)]
AllOf = Annotated[
    str | None, typer.Option("--workflow", help="All open runs of this workflow.")
]

OfCustomer = Annotated[
    str | None, typer.Option("--customer", help="All open runs of this customer.")
]
InStatus = Annotated[
    str | None, typer.Option("--status", help="All open runs in this status.")
]
OfTenant = Annotated[
    str | None, typer.Option("--tenant", help="All open runs of this tenant.")
]
Bulk = Annotated[
    str,
    typer.Argument(help="The bulk's id, as `pause`, `resume` or `cancel` printed it."),
]
BULKS = ("Bulk", "Does", "Which", "State", "Reached", "Why")


@app.callback()
def about() -> None:
    """Start, watch, pause, resume and cancel runs."""


@app.command()
def start(  # noqa: PLR0913 typer needs one parameter per option
    workflow: Annotated[str, typer.Argument(help="The workflow's name.")],
    given: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="The input as JSON, @FILE, or - for standard input."
        ),
    ],
    *,
    tenant: Annotated[
        str | None, typer.Option(help="The tenant that the run acts for.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="The system that the input comes from. It belongs to the first "
            "account that uses it."
        ),
    ] = None,
    external_id: Annotated[
        str | None,
        typer.Option(
            help="Its id in that system. The same id again returns the same run."
        ),
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
def listing(  # noqa: PLR0913 typer needs one parameter per option
    *,
    workflow: Annotated[
        str | None, typer.Option(help="Only runs of this workflow.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="Only runs in this status.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Only runs of this tenant.")
    ] = None,
    customer: Annotated[
        str | None, typer.Option(help="Only runs of this customer.")
    ] = None,
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
    """Print all records of a run as JSON."""
    with Api() as api:
        output.as_json(api.get(f"/runs/{run}/trace"))


@app.command()
def pause(  # noqa: PLR0913 typer needs one parameter per option
    reason: Reason,
    run: OneRun = None,
    *,
    workflow: AllOf = None,
    customer: OfCustomer = None,
    status: InStatus = None,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Pause a run, or all that match.

    No model is called and nothing is sent until it is resumed.
    """
    which = _which(workflow, customer, status, tenant)
    _hold("pause", run, which, reason, as_json=as_json)


@app.command()
def resume(  # noqa: PLR0913 typer needs one parameter per option
    reason: Reason,
    run: OneRun = None,
    *,
    workflow: AllOf = None,
    customer: OfCustomer = None,
    status: InStatus = None,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Resume a paused run, or all that match."""
    which = _which(workflow, customer, status, tenant)
    _hold("resume", run, which, reason, as_json=as_json)


@app.command()
def cancel(  # noqa: PLR0913 typer needs one parameter per option
    reason: Reason,
    run: OneRun = None,
    *,
    workflow: AllOf = None,
    customer: OfCustomer = None,
    status: InStatus = None,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a run, or all that match.

    The outcome of an effect that is being sent is still recorded.
    """
    which = _which(workflow, customer, status, tenant)
    _hold("cancel", run, which, reason, as_json=as_json)


@app.command()
def bulks(*, limit: Most = 20, as_json: AsJson = False) -> None:
    """List bulk pauses, resumes and cancels, newest first."""
    with Api() as api:
        found = api.items("/bulks", most=limit)
    if as_json:
        output.as_json(list(found))
        return
    output.table(BULKS, [_bulk_row(one) for one in found])


@app.command()
def bulk(bulk: Bulk, *, as_json: AsJson = False) -> None:
    """Show the progress of a bulk pause, resume or cancel."""
    with Api() as api:
        _show(api.get(f"/bulks/{bulk}"), as_json=as_json)


@app.command("stop-bulk")
def stop_bulk(bulk: Bulk, *, as_json: AsJson = False) -> None:
    """Stop a bulk pause, resume or cancel.

    Runs that it has already changed stay changed.
    """
    with Api() as api:
        _show(api.post(f"/bulks/{bulk}:stop", {}), as_json=as_json)


def _hold(
    verb: str, run: str | None, which: Item, reason: str, *, as_json: bool
) -> None:
    if (run is None) == (not which):
        raise WrongUsage(
            f"Give either the id of one run to {verb}, or a filter: --workflow, "
            "--customer, --status or --tenant."
        )
    with Api() as api:
        if run is not None:
            _show(api.post(f"/runs/{run}:{verb}", {"reason": reason}), as_json=as_json)
            return
        body = {"filter": which, "reason": reason}
        found = api.post(f"/runs:{verb}", body)
    _show(found, as_json=as_json)
    if found["state"] == "running" and not as_json:
        output.line(
            f"{found['done']} of {found['total']} runs are done. `keyturn run bulk "
            f"{found['id']}` shows the progress, `keyturn run stop-bulk {found['id']}` "
            "stops the bulk."
        )


def _which(
    workflow: str | None, customer: str | None, status: str | None, tenant: str | None
) -> Item:
    names = ("workflow", "customer", "status", "tenant")
    given = zip(names, (workflow, customer, status, tenant), strict=True)
    return {name: value for name, value in given if value is not None}


def _bulk_row(one: Item) -> list[object]:
    which = json_object.of(one["filter"])
    named = ", ".join(f"{k} {v}" for k, v in which.items() if v is not None)
    progress = f"{one['done']} of {one['total']}"
    return [one["id"], one["verb"], named, one["state"], progress, one["reason"]]


def _row(run: Item) -> list[object]:
    stopped = f" by {run['stopped_words']}" if run.get("stopped_by") else ""
    held = items_in(run, "held_calls")
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
    held = items_in(run, "held_calls")
    words = [
        f"{one['tool']} ({one['call']}) by {one['held_words']}, since "
        f"{output.moment(one['held_at'])}"
        for one in held
    ]
    output.pairs({**run, "held_calls": words, "failing": _failing(run)})


def _failing(run: Item) -> list[str]:
    return [
        f"{one['place']} ({one['kind']}), {one['times']} times since "
        f"{output.moment(one['since'])}{', given up' if one['given_up'] else ''}"
        for one in items_in(run, "failing")
    ]
