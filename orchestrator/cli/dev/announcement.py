"""The message when everything is ready: one address, and who may sign in."""

import json
import sys

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.dev.people import SignIn
from keyturn.orchestrator.cli.dev.ports import Ports

COLUMNS = ("Name", "Role", "E-mail", "Password", "API token")


def as_line(ports: Ports, people: list[SignIn]) -> None:
    """Print everything as one line of JSON."""
    line = {
        "url": ports.url("web"),
        "temporal": ports.address("temporal"),
        "temporal_ui": ports.url("temporal_ui"),
        "mailbox": ports.url("mailbox"),
        "users": [one.model_dump(mode="json") for one in people],
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def as_table(ports: Ports, people: list[SignIn], *, is_scripted: bool) -> None:
    """Show everything to a person."""
    output.table(
        COLUMNS,
        [(one.name, one.role, one.email, one.password, one.token) for one in people],
    )
    mail, temporal = ports.url("mailbox"), ports.url("temporal_ui")
    output.line(f"Keyturn is ready at {ports.url('web')}")
    output.line(f"Sent mails: {mail}  Temporal's UI: {temporal}")
    if is_scripted:
        output.line(
            "No provider key is set, so a scripted simulator plays the model. Set "
            "OPENAI_API_KEY, ANTHROPIC_API_KEY or OPENAI_BASE_URL to use a real one."
        )
    output.line("Ctrl-C stops everything; the next start continues from there.")
    sys.stdout.flush()
