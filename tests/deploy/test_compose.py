"""docker-compose.yml is right, and each of Keyturn's commands in it works by hand."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from sqlalchemy.engine import make_url

from keyturn.orchestrator.processes import payload_keys
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.store.db import roles
from tests.deploy import composition
from tests.deploy.composition import FILE, ROOT, NotSet, Service
from tests.servers import http, postgres
from tests.servers.own import Own
from tests.servers.ports import free_port

READY_S = 240.0
STOP_S = 30.0
KEY = new_key()
VARIABLES = {
    "POSTGRES_PASSWORD": "a",
    "KEYTURN_DB_PASSWORD": "b",
    "KEYTURN_DB_PASSWORD_WEB": "web",
    "KEYTURN_DB_PASSWORD_WORKER": "worker",
    "KEYTURN_DB_PASSWORD_EFFECTS": "effects",
    "TEMPORAL_DB_PASSWORD": "c",
    "KEYTURN_SECRET_KEY": "a secret of these tests",
    "KEYTURN_DECISION_KEY": KEY,
    "KEYTURN_DECISION_KEY_PUBLIC": Signer(KEY).public(),
    "KEYTURN_PAYLOAD_KEYS": payload_keys.new_keys(),
    "KEYTURN_PUBLIC_URL": "https://keyturn.example.com",
    "KEYTURN_PAYMENTS_URL": "http://127.0.0.1:1",
    "KEYTURN_SMTP_URL": "smtp://127.0.0.1:1",
    "KEYTURN_MAIL_FROM": "desk@example.com",
    "KEYTURN_SERVICE_KEYS": '{"payments": "write"}',
    "OPENAI_API_KEY": "a model's key",
}


def test_file_is_valid_compose() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [checker, "--builtin-schema", "vendor.compose-spec", FILE]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(composition.required()))
def test_nothing_secret_has_a_default(name: str) -> None:
    without = {key: value for key, value in VARIABLES.items() if key != name}

    with pytest.raises(NotSet, match=name):
        composition.fill_all(without)


def test_example_names_every_variable_and_fills_none_in() -> None:
    lines = (ROOT / "deploy" / "example.env").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and line[0] != "#")

    needed = composition.required()

    assert needed <= set(given)
    assert {name for name in needed if given[name]} == {"KEYTURN_SERVICE_KEYS"}


def test_each_service_holds_its_own_secrets_alone() -> None:
    services = composition.load(VARIABLES)

    def holders(variable: str) -> set[str]:
        return {name for name, one in services.items() if variable in one.environment}

    assert holders("KEYTURN_SECRET_KEY") == {"web", "migrate"}
    assert holders("KEYTURN_SERVICE_KEYS") == {"effects"}
    assert holders("KEYTURN_SMTP_URL") == {"effects"}
    assert holders("OPENAI_API_KEY") == {"worker"}
    assert holders("KEYTURN_DECISION_KEY") == {"web", "effects", "migrate", "release"}
    assert holders("KEYTURN_PAYLOAD_KEYS") == {"web", "worker", "effects"}
    effects = services["effects"].environment["KEYTURN_DECISION_KEY"]
    assert effects.startswith("public:")


def test_each_service_is_its_own_role_in_the_database() -> None:
    services = composition.load(VARIABLES)

    accounts = {
        name: make_url(one.environment["KEYTURN_DATABASE_URL"]).username
        for name, one in services.items()
    }

    assert accounts == {
        "migrate": "keyturn",
        "release": roles.WEB,
        "web": roles.WEB,
        "worker": roles.WORKER,
        "effects": roles.EFFECTS,
    }


@pytest.mark.timeout(600)
def test_every_command_does_its_work_by_hand(
    own_postgres: Own, temporal_address: str, task_queue: str, tmp_path: Path
) -> None:
    port = free_port()
    # Twice, as every start does.
    make_accounts(own_postgres)
    make_accounts(own_postgres)
    services = {
        name: _here(one, own_postgres.address, temporal_address, task_queue, port)
        for name, one in composition.load(VARIABLES).items()
    }
    hand = Hand(services, tmp_path)

    hand.run("migrate")
    hand.run("migrate")
    hand.run("release")
    with ExitStack() as running:
        for name in ("web", "worker", "worker", "effects"):
            running.enter_context(hand.started(name))
        _until(lambda: _answers(f"http://127.0.0.1:{port}/readyz"), "the web server")
        for name in ("web", "worker", "effects"):
            _until(lambda name=name: hand.is_healthy(name, port), f"{name}'s health")

    expected = {"web": [0], "worker": [0, 0], "effects": [0]}
    assert hand.statuses == expected, hand.logs()
    assert not hand.is_healthy("web", port)


@dataclass
class Hand:
    """Runs services' commands as processes of this machine."""

    services: Mapping[str, Service]
    folder: Path

    def __post_init__(self) -> None:
        self.statuses: dict[str, list[int]] = {}

    def run(self, name: str) -> None:
        """To the end, which must be good."""
        one = self.services[name]
        subprocess.run(
            composition.program(one.command),
            env=_environment(one),
            cwd=self.folder,
            check=True,
        )

    @contextmanager
    def started(self, name: str) -> Generator[None]:
        """Until the block ends, as `docker compose stop` ends it."""
        one = self.services[name]
        command = composition.program(one.command)
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=_environment(one), cwd=self.folder, stdout=log, stderr=log
            )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(STOP_S)
            self.statuses.setdefault(name, []).append(status)

    def logs(self) -> str:
        """What the services wrote."""
        return "\n".join(one.read_text() for one in self.folder.glob("*.log"))

    def is_healthy(self, name: str, port: int) -> bool:
        """As the container's health check finds it."""
        one = self.services[name]
        assert one.health is not None
        command = [part.replace(":8080/", f":{port}/") for part in one.health]
        return (
            subprocess.run(
                composition.program(command),
                env=_environment(one),
                cwd=self.folder,
                capture_output=True,
                check=False,
            ).returncode
            == 0
        )


def make_accounts(server: Own) -> None:
    """Run the service `roles`' script against a server of this machine."""
    there = make_url(server.address)
    programs = f"{postgres.client().parent}:{os.environ['PATH']}"
    script = ROOT / "deploy" / "postgres" / "roles.sh"
    subprocess.run(
        ["/bin/sh", script],
        env={
            **VARIABLES,
            "PATH": programs,
            "PGHOST": str(there.host),
            "PGPORT": str(there.port),
            "PGUSER": "postgres",
        },
        check=True,
    )


def _here(
    one: Service, postgres_url: str, temporal: str, task_queue: str, port: int
) -> Service:
    """The same service with the addresses of this machine."""
    wanted = make_url(one.environment["KEYTURN_DATABASE_URL"])
    assert (wanted.host, wanted.port, wanted.database) == ("postgres", 5432, "keyturn")
    there = make_url(postgres_url)
    url = wanted.set(host=there.host, port=there.port)
    changed = {
        "KEYTURN_DATABASE_URL": url.render_as_string(hide_password=False),
        "KEYTURN_TEMPORAL_ADDRESS": temporal,
        "KEYTURN_TEMPORAL_NAMESPACE": "default",
        "KEYTURN_TASK_QUEUE": task_queue,
    }
    if "KEYTURN_PORT" in one.environment:
        changed |= {"KEYTURN_PORT": str(port), "KEYTURN_HOST": "127.0.0.1"}
    return Service(one.command, {**one.environment, **changed}, one.health)


def _environment(one: Service) -> dict[str, str]:
    hidden = ("KEYTURN_", "OPENAI_", "ANTHROPIC_")
    outer = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    return {**outer, **one.environment}


def _answers(url: str) -> bool:
    try:
        return http.get(url, timeout=3).status_code == 200
    except httpx2.HTTPError:
        return False


def _until(probe: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + READY_S
    while not probe():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.2)
