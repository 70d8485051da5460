"""`keyturn bench`: runs the benchmarks of a checkout."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.processes.exit_status import WrongUsage

FOLDERS = (Path(__file__).resolve().parents[3] / "benchmarks", Path("benchmarks"))


def main(
    name: Annotated[
        str | None, typer.Argument(help="The benchmark. Default: list them.")
    ] = None,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Run fewer rounds; figures are less exact.")
    ] = False,
) -> None:
    """Run a benchmark; print one line of JSON. Exit status 1: a goal is missed."""
    found = _found()
    if name is None:
        for known in sorted(found):
            output.line(known)
        return
    if name not in found:
        raise WrongUsage(
            f"There is no benchmark {name!r}; known: "
            f"{', '.join(sorted(found)) or 'none: benchmarks come with a checkout'}."
        )
    command = [sys.executable, str(found[name]), *(["--quick"] if quick else [])]
    raise typer.Exit(subprocess.run(command, check=False).returncode)  # noqa: S603 runs a file of this checkout


def _found() -> dict[str, Path]:
    return {
        path.stem: path
        for folder in FOLDERS
        for path in folder.glob("*.py")
        # Modules that benchmarks share are in the same folder.
        if "__main__" in path.read_text(encoding="utf-8")
    }
