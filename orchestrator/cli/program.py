"""The commands by name; only the requested one is imported."""

import gc
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from keyturn.orchestrator.processes import exit_status
from keyturn.orchestrator.processes.exit_status import Status
from keyturn.orchestrator.rules.errors import KeyturnError

# Each is a module of `keyturn.orchestrator.cli.commands` with `app`, or with `main` where the
# command has no subcommands.
COMMANDS = {
    "dev": "Start a complete installation on this machine, with a demo shop.",
    "serve": "Run the web server: the pages and the HTTP API.",
    "worker": "Run workflows and models; with --effects, carry out actions.",
    "run": "Start, watch, pause, resume and cancel runs.",
    "approval": "List approvals that wait for a person, and decide them.",
    "switch": "Set, list and lift kill switches.",
    "effect": "List effects; record the outcome of one that is unknown.",
    "proposal": "Confirm or decline what another person proposed.",
    "incident": "List, open and close incidents.",
    "matching": "Compare the ledger with the statement and the mail log.",
    "webhook": "Manage the addresses that signed notices are posted to.",
    "notice": "List notices; send those again that could not be delivered.",
    "release": "List releases; publish those of this code.",
    "eval": "Run an evaluation suite on the real engine.",
    "contract": "Show what each workflow declares.",
    "tool": "List the tools that models may call.",
    "budget": "Show what models have cost and what is left; raise a budget.",
    "audit": "Verify and export the audit log.",
    "db": "Upgrade the database's schema.",
    "tenant": "List and declare the tenants that runs may be started for.",
    "user": "Manage accounts, tokens and keys.",
    "doctor": "Check settings, services and keys of this installation.",
    "bench": "Run a benchmark of Keyturn on this machine.",
}
# Commands whose module has another name.
_MODULES = {"matching": "reconciliation"}
ABOUT = "Run LLM agents. A person approves their irreversible actions."


def run(arguments: Sequence[str]) -> Status | int:
    """Run the command that `arguments` name and return the exit status."""
    # Applications may be in the working folder; nothing there may replace our own.
    sys.path.append(str(Path.cwd()))
    with _uncollected():
        command = typer.main.get_command(_app(arguments))
    try:
        command.main(list(arguments), prog_name="keyturn")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Status.DONE
    except KeyturnError as error:
        sys.stderr.write(f"keyturn: {error}\n")
        return exit_status.of(error)
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    return Status.DONE


@contextmanager
def _uncollected() -> Generator[None]:
    """Exempt what is loaded here from garbage collection: saves a fifth of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _app(arguments: Sequence[str]) -> typer.Typer:
    """Return all commands: the named one completely, the others for the help text."""
    named = next((word for word in arguments if not word.startswith("-")), None)
    app = typer.Typer(
        help=ABOUT, no_args_is_help=True, add_completion=False, rich_markup_mode=None
    )
    app.callback()(_about)
    for name, line in COMMANDS.items():
        if name != named:
            app.command(name, help=line)(_not_asked_for)
            continue
        module = import_module(module_of(name))
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name, help=line, no_args_is_help=True)
        else:
            app.command(name, help=line)(module.main)
    return app


def module_of(command: str) -> str:
    """Return the name of a command's module."""
    return f"keyturn.orchestrator.cli.commands.{_MODULES.get(command, command)}"


def _show_version(asked: bool) -> None:  # noqa: FBT001 typer passes the option's value by position
    if asked:
        typer.echo(f"keyturn {version('keyturn')}")
        raise typer.Exit


def _about(
    _version: Annotated[  # noqa: FBT002 typer takes the default from here
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    pass


_about.__doc__ = ABOUT


def _not_asked_for() -> None:
    raise NotImplementedError
