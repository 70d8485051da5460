"""Commands that start warm: a process that has imported them forks once for each.

`python -P warm.py` reads a request a line, `{"arguments", "environment", "folder",
"files"}`, and answers with the exit status. What a command does, says and ends with is
its own process's; only the imports are shared. tests/deploy starts commands cold.
"""

import atexit
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

# What these import may have threads, which no fork takes along.
COLD = frozenset({"bench", "dev", "doctor", "eval", "serve", "worker"})


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    files: Sequence[Path],
) -> int:
    """Run one command over `files`, its input, output and errors; return its status."""
    request = {
        "arguments": list(arguments),
        "environment": dict(environment),
        "folder": str(folder),
        "files": list(map(str, files)),
    }
    process = _process()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def is_warm(arguments: Sequence[str]) -> bool:
    """Tell whether this command can be run here."""
    return bool(arguments) and not COLD & set(arguments)


@cache
def _process() -> "subprocess.Popen[str]":
    command = (sys.executable, "-P", __file__)
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    # It ends by itself, too, once nobody holds its input.
    atexit.register(process.terminate)
    return process


def main() -> None:
    """Fork for each request, until the input ends."""
    from orchestrator.cli import program  # noqa: PLC0415 for this process alone

    for name in program.COMMANDS:
        if name not in COLD:
            import_module(f"orchestrator.cli.commands.{name}")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(request: dict[str, Any]) -> None:
    from orchestrator import cli  # noqa: PLC0415 as above

    modes = (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)
    for number, (path, mode) in enumerate(zip(request["files"], modes, strict=True)):
        os.dup2(os.open(path, mode), number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 the process's own
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = ["keyturn", *request["arguments"]]
    try:
        cli.main()
    except BaseException:  # noqa: BLE001 this process ends here, whatever it was
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
