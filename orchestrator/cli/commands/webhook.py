"""`keyturn webhook`: the addresses that notices are posted to, through the HTTP API."""

from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api, Item
from keyturn.orchestrator.cli.arguments import AsJson
from keyturn.orchestrator.processes.exit_status import Ended

app = typer.Typer()

COLUMNS = ("Webhook", "Address", "Kinds", "Tenant", "State")
Webhook = Annotated[str, typer.Argument(help="The webhook's id.")]


@app.callback()
def about() -> None:
    """Manage the addresses that signed notices are posted to."""


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Where to post: https://…")],
    *,
    event: Annotated[
        list[str] | None,
        typer.Option(help="Only this kind of notice; may be repeated."),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Only notices of this tenant.")
    ] = None,
    with_arguments: Annotated[
        bool,
        typer.Option(
            "--with-arguments",
            help="Include the arguments of actions, which are customers' data.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add a webhook and show its secret, once."""
    body = {
        "url": url,
        "events": event or [],
        "tenant": tenant,
        "with_arguments": with_arguments,
    }
    with Api() as api:
        _show(api.post("/webhooks", body), as_json=as_json)


@app.command("list")
def listing(*, as_json: AsJson = False) -> None:
    """List webhooks."""
    with Api() as api:
        found = api.items("/webhooks", most=1_000)
    if as_json:
        output.as_json(list(found))
        return
    output.table(COLUMNS, [_row(one) for one in found])


@app.command()
def remove(webhook: Webhook, *, as_json: AsJson = False) -> None:
    """Remove a webhook and its undelivered notices."""
    with Api() as api:
        done = api.delete(f"/webhooks/{webhook}")
    output.as_json(done) if as_json else output.line(f"Removed {webhook}.")


@app.command()
def rotate(webhook: Webhook, *, as_json: AsJson = False) -> None:
    """Create a new secret for a webhook.

    The old one also signs for one more day.
    """
    with Api() as api:
        _show(api.post(f"/webhooks/{webhook}:rotate", {}), as_json=as_json)


@app.command()
def enable(webhook: Webhook, *, as_json: AsJson = False) -> None:
    """Enable a webhook that was disabled."""
    with Api() as api:
        done = api.post(f"/webhooks/{webhook}:enable", {})
    output.as_json(done) if as_json else output.line(f"Enabled {webhook}.")


@app.command("test")
def post_test(webhook: Webhook, *, as_json: AsJson = False) -> None:
    """Post a notice of the kind `webhook.test` now. Exit status 1: not delivered."""
    with Api() as api:
        found = api.post(f"/webhooks/{webhook}:test", {})
    if as_json:
        output.as_json(found)
    elif found["delivered"]:
        output.line(f"Delivered: answered {found['status']}.")
    if not found["delivered"]:
        raise Ended(f"{webhook} did not accept the notice: {found['error']}.")


def _row(webhook: Item) -> list[object]:
    because = webhook.get("disabled_because")
    return [
        webhook["id"],
        webhook["url"],
        webhook["events"] or "all",
        webhook["tenant"] or "all",
        f"disabled: {because}" if webhook["disabled_at"] else "enabled",
    ]


def _show(webhook: Item, *, as_json: bool) -> None:
    if as_json:
        output.as_json(webhook)
        return
    output.pairs(webhook)
    output.line(
        "The secret is shown only once. The receiver verifies signatures with it."
    )
