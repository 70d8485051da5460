"""`keyturn dev`: a complete installation on this machine."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from keyturn.orchestrator.cli.dev import data, supervisor


def main(
    *,
    port: Annotated[
        int | None,
        typer.Option(help="The web server's port. If it is in use, the next free one."),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="The folder for all data. Default: .keyturn")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON when ready.")
    ] = False,
) -> None:
    """Start Temporal, the web server, the workers and a demo shop. Ctrl-C stops all."""
    folder = data_dir or Path(os.environ.get("KEYTURN_DATA_DIR") or data.FOLDER)
    words = [str(folder)]
    words += ["--port", str(port)] if port is not None else []
    words += ["--json"] if as_json else []
    # The long-running supervisor replaces this process, without a command's modules.
    os.execv(sys.executable, (sys.executable, "-P", "-m", supervisor.__name__, *words))  # noqa: S606 runs our own program
