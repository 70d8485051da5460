"""`keyturn release`: the releases that determined each run's behaviour."""

from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api
from keyturn.orchestrator.cli.arguments import AsJson, Most
from keyturn.orchestrator.processes.database import with_store
from keyturn.orchestrator.processes.exit_status import WrongUsage
from keyturn.orchestrator.rules import settings
from keyturn.orchestrator.rules.authority.binding import Signer
from keyturn.orchestrator.store.db.database import Store

app = typer.Typer()

COLUMNS = ("workflow", "hash", "code_version", "created_at", "live_since")


@app.callback()
def about() -> None:
    """List releases; publish those of this code."""


@app.command()
def publish() -> None:
    """Sign the releases of this code's contracts and put them live.

    Part of each deployment. Needs access to the database and the private
    KEYTURN_DECISION_KEY; workers put nothing live. New runs use these releases; runs
    that have begun keep theirs.
    """
    # These load applications, which no other command here does.
    from keyturn.orchestrator.processes import release_publisher  # noqa: PLC0415 see above
    from keyturn.orchestrator.rules.contract import registry  # noqa: PLC0415 see above

    found = settings.read()
    if found.decision_key is None:
        raise WrongUsage(
            "KEYTURN_DECISION_KEY is not set; a release goes live under the web server's "
            "private one."
        )
    signer = Signer(found.decision_key.get_secret_value())
    apps = registry.load(found.app_names, models=found.models)
    if not apps.contracts:
        raise WrongUsage("KEYTURN_APPS names no application with a contract.")

    async def work(store: Store) -> dict[str, str]:
        return await release_publisher.publish(store, apps, signer, by="deployment")

    hashes = with_store(work)
    for name, hashed in sorted(hashes.items()):
        output.line(f"{name} is live as {hashed}.")


@app.command("list")
def listing(
    *,
    workflow: Annotated[
        str | None, typer.Option(help="Only releases of this workflow.")
    ] = None,
    limit: Most = 50,
    as_json: AsJson = False,
) -> None:
    """List releases, newest first."""
    with Api() as api:
        found = api.items("/releases", {"workflow": workflow}, most=limit)
    if as_json:
        output.as_json(list(found))
        return
    output.table(
        [name.replace("_", " ").capitalize() for name in COLUMNS],
        [[release.get(name) for name in COLUMNS] for release in found],
    )
