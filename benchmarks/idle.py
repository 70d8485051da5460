"""At rest and at the start: time until ready, memory, processor time, transactions.

`python benchmarks/idle.py [--quick]`. First `keyturn dev` as a user starts it, in an empty
folder; then the web server and both workers on PostgreSQL, which counts what they ask.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil
import psycopg

from benchmarks import stage
from benchmarks.report import end, progress, report
from keyturn.orchestrator.processes import payload_keys
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from tests.servers import postgres
from tests.servers.ports import free_port

GOALS = {
    "ready_s": "<= 8",
    "help_s": "<= 0.4",
    "rss_mb": "<= 900",
    "own_cpu_percent": "<= 3",
    "transactions_per_s": "<= 10",
}
KEYTURN = (sys.executable, "-P", "-m", "keyturn.orchestrator.cli")
OWN = ("serve", "worker")
READY_WITHIN_S = 120.0
# The demo tickets have come to rest, and every job looks at its idle pace.
SETTLE_S = 30.0


def main() -> int:
    """Measure, print the line, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="look for a shorter time")
    look_s = 10.0 if parser.parse_args().quick else 60.0
    figures = {"help_s": help_s(), **dev(look_s), **transactions(look_s)}
    return report("idle", figures, GOALS)


def help_s() -> float:
    """Return the seconds of `keyturn --help`, the best of five."""
    return min(_timed([*KEYTURN, "--help"]) for _ in range(5))


def dev(look_s: float) -> dict[str, float]:
    """Return what `keyturn dev` needs to start, and at rest."""
    began = time.perf_counter()
    with ExitStack() as stack:
        data = stack.enter_context(TemporaryDirectory())
        process = stack.enter_context(_program("dev", "--json", f"--data-dir={data}"))
        _await_line(process, "url")
        ready = time.perf_counter() - began
        progress(f"ready after {ready:.1f} s; settling")
        time.sleep(SETTLE_S)
        parent = psutil.Process(process.pid)
        family = [parent, *parent.children(recursive=True)]
        own = [one for one in family if set(OWN) & set(one.cmdline())]
        temporal = [one for one in family if "start-dev" in one.cmdline()]
        used, beside = _percent(own, temporal, look_s)
        return {
            "ready_s": ready,
            "rss_mb": sum(one.memory_info().rss for one in family) / 1e6,
            "supervisor_mb": parent.memory_info().rss / 1e6,
            "own_cpu_percent": used,
            "temporal_cpu_percent": beside,
            "own_to_temporal": used / beside if beside else 0.0,
        }


def transactions(look_s: float) -> dict[str, float]:
    """Return how many transactions a second an installation at rest makes."""
    with ExitStack() as stack:
        folder = stack.enter_context(postgres.private_folder())
        started = postgres.server(folder)
        server = started.program.start()
        stack.callback(started.program.stop, server)
        url = stack.enter_context(postgres.database(started.address))
        environment = _environment(url, stack.enter_context(stage.temporal_server()))
        for words in (("db", "upgrade"), ("release", "publish")):
            command = [*KEYTURN, *words]
            subprocess.run(command, env=environment, check=True)  # noqa: S603 runs our own program
        for words in (("serve",), ("worker",), ("worker", "--effects")):
            running = stack.enter_context(_program(*words, environment=environment))
            _await_line(running, ".ready")
        progress("an installation on PostgreSQL settles")
        time.sleep(SETTLE_S)
        before = _committed(url)
        time.sleep(look_s)
        return {"transactions_per_s": (_committed(url) - before) / look_s}


def _environment(url: str, temporal: str) -> dict[str, str]:
    key = new_key()
    return {
        **os.environ,
        "KEYTURN_DATABASE_URL": url,
        "KEYTURN_TEMPORAL_ADDRESS": temporal,
        "KEYTURN_SECRET_KEY": "a secret only for the benchmark",
        "KEYTURN_PORT": str(free_port()),
        "KEYTURN_DECISION_KEY": key,
        "KEYTURN_PAYLOAD_KEYS": payload_keys.new_keys(),
        "OPENAI_API_KEY": "none",
        "_PUBLIC": Signer(key).public(),
    }


def _committed(url: str) -> int:
    """Return how many transactions the database has ended, ours left out."""
    plain = url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        row = connection.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database "
            "WHERE datname = current_database()"
        ).fetchone()
        return int(row[0]) if row else 0


def _percent(
    own: list[psutil.Process], temporal: list[psutil.Process], look_s: float
) -> tuple[float, float]:
    before = _cpu_s(own), _cpu_s(temporal)
    time.sleep(look_s)
    after = _cpu_s(own), _cpu_s(temporal)
    used, beside = (
        100 * (late - early) / look_s for early, late in zip(before, after, strict=True)
    )
    return used, beside


def _cpu_s(processes: list[psutil.Process]) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in processes)


@contextmanager
def _program(
    *words: str, environment: Mapping[str, str] | None = None
) -> Generator["subprocess.Popen[str]"]:
    own = dict(os.environ if environment is None else environment)
    public = own.pop("_PUBLIC", None)
    if "--effects" in words and public:
        own["KEYTURN_DECISION_KEY"] = public
    running = subprocess.Popen(  # noqa: S603 runs our own command
        [*KEYTURN, *words],
        stdout=subprocess.PIPE,
        # What goes on says there that it is ready.
        stderr=subprocess.STDOUT,
        text=True,
        env=own,
    )
    try:
        yield running
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(timeout=READY_WITHIN_S)


def _await_line(running: "subprocess.Popen[str]", word: str) -> None:
    """Return when the program has printed a line with this word."""
    for line in running.stdout or ():
        if word in line:
            return
    raise RuntimeError(f"a program ended before it printed {word!r}")


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)  # noqa: S603 runs our own program
    return time.perf_counter() - began


if __name__ == "__main__":
    end(main())
