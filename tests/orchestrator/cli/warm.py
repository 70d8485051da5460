"""Commands that start warm: a process that has imported them forks once for each.

`python -P warm.py` reads a request a line, `{"arguments", "environment", "folder",
"files", "ended"}`, and answers with the exit status; with `ended`, a file that gets the
status, with the id of the process, which goes on. What a command does, says and ends
with is its own process's; only the imports are shared, three quarters of a worker's
start. tests/deploy and tests/orchestrator/cli/test_dev.py start everything cold.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

# What goes on until it is ended; what these import has no threads, and may be forked.
GOES_ON = frozenset({"serve", "worker"})
# What they load once they run.
LATER = (
    "keyturn.approvals.web.app",
    "keyturn.activities.llm.openai.chat",
    "keyturn.activities.llm.anthropic.messages",
)
LOOK_S = 0.02
# These go on, too, or start processes of their own.
COLD = frozenset({"bench", "dev", "doctor", "eval", "serve", "worker"})


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    files: Sequence[Path],
) -> int:
    """Run one command over `files`, its input, output and errors; return its status."""
    return _asked(arguments, environment, folder, files)


@dataclass(frozen=True)
class Started:
    """A process that goes on: what `subprocess.Popen` of it would do."""

    pid: int
    ended: Path

    def poll(self) -> int | None:
        """Return the status that it ended with; None while it runs."""
        text = self.ended.read_text() if self.ended.exists() else ""
        return int(text) if text.endswith("\n") else None

    def wait(self, timeout: float = 60) -> int:
        """Return its status once it has ended."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(LOOK_S)
        return status

    def kill(self) -> None:
        """Send SIGKILL."""
        self._send(signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    output: Path,
) -> Started:
    """Start a command that goes on; it says all in `output`."""
    assert set(arguments) & GOES_ON
    ended = output.with_name(f"{output.name}.ended")
    files = (Path(os.devnull), output, output)
    output.touch()
    return Started(_asked(arguments, environment, folder, files, ended), ended)


def _asked(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    files: Sequence[Path],
    ended: Path | None = None,
) -> int:
    request = {
        "arguments": list(arguments),
        "environment": dict(environment),
        "folder": str(folder),
        "files": list(map(str, files)),
        "ended": None if ended is None else str(ended),
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
    from keyturn.orchestrator.cli import program  # noqa: PLC0415 for this process alone

    for name in program.COMMANDS:
        if name not in COLD:
            import_module(program.module_of(name))
    for line in sys.stdin:
        request = json.loads(line)
        if request["ended"]:
            _load_what_goes_on()
        child = os.fork()
        if child == 0:
            _become(request)
        if request["ended"]:
            Thread(
                target=_note_end, args=(child, request["ended"]), daemon=True
            ).start()
            said = child
        else:
            said = _status(child)
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()


@cache
def _load_what_goes_on() -> None:
    for name in sorted(GOES_ON):
        import_module(f"keyturn.orchestrator.cli.commands.{name}")
    for name in LATER:
        import_module(name)


def _status(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _note_end(child: int, ended: str) -> None:
    Path(ended).write_text(f"{_status(child)}\n")


def _become(request: dict[str, Any]) -> None:
    from keyturn.orchestrator import cli  # noqa: PLC0415 as above

    append = os.O_WRONLY | os.O_APPEND
    modes = (os.O_RDONLY, append, append)
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
