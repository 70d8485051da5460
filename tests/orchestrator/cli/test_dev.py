"""`keyturn dev`: one command, everything runs; one Ctrl-C, nothing is left."""

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from keyturn.orchestrator.cli.demo.tickets import TICKETS
from tests.orchestrator.cli.program import COMMAND, Keyturn

READY_S = 240.0
STOP_S = 30.0
ROLES = {"agent", "lead", "operator", "developer", "auditor", "admin", "service"}

pytestmark = pytest.mark.timeout(600)


@dataclass
class Dev:
    """A running `keyturn dev`, and what it printed when it was ready."""

    process: "subprocess.Popen[str]"
    data: Path
    line: dict[str, Any]

    @property
    def url(self) -> str:
        return str(self.line["url"])

    def user(self, role: str) -> dict[str, str]:
        return next(one for one in self.line["users"] if one["role"] == role)

    def api(self, role: str = "agent") -> httpx2.Client:
        return httpx2.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {self.user(role)['token']}"},
            timeout=20,
        )

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def approvals(self, role: str = "agent") -> dict[str, str]:
        with self.api(role) as api:
            items = api.get("/approvals?limit=100").json()["items"]
        return {one["id"]: one["status"] for one in items}

    def runs(self) -> dict[str, str]:
        with self.api() as api:
            items = api.get("/runs?limit=100").json()["items"]
        return {one["id"]: one["status"] for one in items}


@contextmanager
def running(data: Path, *arguments: str) -> Generator[Dev]:
    """A started `keyturn dev`; the block's end stops it as Ctrl-C does."""
    environment = {k: v for k, v in os.environ.items() if not _is_ours(k)}
    command = [*COMMAND, "dev", "--json", "--data-dir", str(data), *arguments]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=data.parent,
        start_new_session=True,
    ) as process:
        try:
            yield Dev(process, data, _line(process))
        finally:
            _stop(process)


@pytest.fixture(scope="module")
def taken_port() -> Iterator[int]:
    """A port where another program listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory, taken_port: int) -> Iterator[Dev]:
    """One for all tests that leave it running, in a folder with a space and an umlaut.

    It was told to listen at a port that is taken.
    """
    data = tmp_path_factory.mktemp("dev") / "ein größerer Ordner"
    with running(data, "--port", str(taken_port)) as started:
        _until(lambda: _settled(started), "the demo tickets come to rest")
        yield started


def test_line_names_everything(dev: Dev) -> None:
    assert set(dev.line) == {"url", "temporal", "temporal_ui", "mailbox", "users"}
    assert {one["role"] for one in dev.line["users"]} == ROLES
    assert httpx2.get(dev.line["temporal_ui"], follow_redirects=True).is_success
    namespaces = f"{dev.line['temporal_ui']}/api/v1/namespaces"
    assert "default" in httpx2.get(namespaces).text
    # A page whose name was pointed to this machine.
    assert httpx2.get(namespaces, headers={"Host": "evil.example"}).status_code == 403
    assert httpx2.get(f"{dev.line['mailbox']}/mails").json().keys() == {"items"}


def test_people_sign_in_with_their_passwords(dev: Dev) -> None:
    for one in dev.line["users"]:
        form = {"email": one["email"], "password": one["password"]}
        if one["role"] == "service":
            continue

        answer = httpx2.post(f"{dev.url}/sign-in", data=form)

        assert answer.headers["location"] == "/inbox", one["role"]
        assert "keyturn" in answer.cookies


def test_demo_tickets_wait_for_people(dev: Dev) -> None:
    statuses = dev.runs().values()

    assert len(statuses) == len(TICKETS)
    assert {"waiting", "completed", "handed_off"} <= set(statuses)
    assert "pending" in dev.approvals().values()


def test_approved_refund_reaches_the_shop_and_the_mail_the_customer(dev: Dev) -> None:
    run = _run_of_customer(dev, "C-1002")
    agent = Keyturn(
        {"KEYTURN_URL": dev.url, "KEYTURN_TOKEN": dev.user("agent")["token"]},
        Path.cwd(),
    )

    def approve_all() -> bool:
        listed = agent("approval", "list", "--json").json()
        for one in listed:
            if one["run"] == run:
                assert agent("approval", "approve", one["id"]).status == 0
        return agent("run", "show", run, "--json").json()["status"] == "completed"

    _until(approve_all, "the run ends")

    mails = httpx2.get(f"{dev.line['mailbox']}/mails").json()["items"]
    [mail] = [one for one in mails if one["to"] == "jonas.okafor@example.com"]
    assert "USD" in mail["body"]
    page = httpx2.get(dev.line["mailbox"]).text
    assert mail["subject"] in page


def test_each_process_has_its_own_keys_only(dev: Dev) -> None:
    by_name = {_name(one): one.environ() for one in dev.family() if _name(one)}

    def holders(variable: str) -> set[str]:
        return {name for name, values in by_name.items() if values.get(variable)}

    assert holders("KEYTURN_SECRET_KEY") == {"serve"}
    assert holders("KEYTURN_SERVICE_KEYS") == {"worker --effects"}
    assert holders("KEYTURN_PAYLOAD_KEYS") == {"serve", "worker", "worker --effects"}
    assert holders("KEYTURN_SMTP_URL") == {"worker --effects"}
    assert holders("OPENAI_API_KEY") == {"worker"}
    assert holders("SHOP_WRITE_TOKEN") == {"demo.world"}
    effects = by_name["worker --effects"]["KEYTURN_DECISION_KEY"]
    assert effects.startswith("public:")


def test_secrets_are_for_their_owner_alone(dev: Dev) -> None:
    modes = {
        str(one.relative_to(dev.data)): one.stat().st_mode & 0o777
        for one in (dev.data, *dev.data.rglob("*"))
    }

    assert {"secrets.json", "people.json", "keyturn.db", "temporal.db"} <= set(modes)
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


def test_second_start_in_the_same_folder_is_refused(dev: Dev) -> None:
    said = Keyturn({}, Path.cwd())("dev", "--data-dir", str(dev.data))

    assert said.status == 1
    assert f"already runs in {dev.data} (process {dev.process.pid})" in said.err


def test_child_that_dies_is_started_again(dev: Dev) -> None:
    [worker] = [one for one in dev.family() if _name(one) == "worker"]

    worker.kill()

    def is_back() -> bool:
        found = [one.pid for one in dev.family() if _name(one) == "worker"]
        return bool(found) and worker.pid not in found

    _until(is_back, "another worker runs")
    assert dev.process.stderr is not None
    assert select.select([dev.process.stderr], [], [], 5)[0]
    assert "worker ended with status -9" in dev.process.stderr.readline()


def test_taken_ports_are_stepped_around(dev: Dev, taken_port: int) -> None:
    assert dev.url != f"http://127.0.0.1:{taken_port}"
    assert httpx2.get(f"{dev.url}/sign-in").is_success


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    said = Keyturn({}, tmp_path)("dev", "--data-dir", str(tmp_path / "file" / "data"))

    assert said.status == 1
    assert "cannot be used: Not a directory" in said.err


@dataclass
class Restart:
    """A `keyturn dev` that was stopped by Ctrl-C, what it had, and its second start."""

    approvals: dict[str, str]
    runs: dict[str, str]
    family: list[psutil.Process]
    said: str
    took_s: float
    second: Dev


@pytest.fixture(scope="module")
def restart(dev: Dev, taken_port: int) -> Iterator[Restart]:
    """Ends what the tests above look at: those that want this are the last."""
    _until(lambda: _settled(dev), "all comes to rest")
    approvals, runs, family = dev.approvals(), dev.runs(), dev.family()
    began = time.monotonic()
    os.kill(dev.process.pid, signal.SIGINT)
    said = dev.process.communicate(timeout=STOP_S)[1]
    took_s = time.monotonic() - began
    with running(dev.data, "--port", str(taken_port)) as second:
        yield Restart(approvals, runs, family, said, took_s, second)


def test_ctrl_c_leaves_nothing_and_the_next_start_finds_everything(
    dev: Dev, restart: Restart
) -> None:
    assert dev.process.returncode == 0, restart.said
    assert not [one for one in restart.family if one.is_running()]
    assert restart.took_s < STOP_S / 2

    second = restart.second
    assert second.line == dev.line
    assert second.approvals() == restart.approvals
    assert second.runs() == restart.runs
    pending = next(k for k, v in restart.approvals.items() if v == "pending")
    with second.api("lead") as api:
        binding = api.get(f"/approvals/{pending}").json()["binding"]
        body = {"decision": "reject", "binding": binding, "reason": "not today"}
        assert api.post(f"/approvals/{pending}:decide", json=body).is_success
    run = _run_of_approval(second, pending)
    _until(lambda: _turns(second, run) > 2, "the model reads the reason")


def test_killed_parent_takes_its_children_along(restart: Restart) -> None:
    family = restart.second.family()
    restart.second.process.kill()
    restart.second.process.wait()

    _, alive = psutil.wait_procs(family, timeout=STOP_S)

    assert not alive


def _run_of_approval(dev: Dev, approval: str) -> str:
    with dev.api() as api:
        return str(api.get(f"/approvals/{approval}").json()["run"])


def _run_of_customer(dev: Dev, customer: str) -> str:
    with dev.api() as api:
        items = api.get(f"/runs?customer={customer}").json()["items"]
    return str(items[0]["id"])


def _turns(dev: Dev, run: str) -> int:
    with dev.api() as api:
        return int(api.get(f"/runs/{run}").json()["turns"])


def _settled(dev: Dev) -> bool:
    """Whether nothing moves: a run is waiting between two of its calls, too."""
    before = dev.runs(), dev.approvals()
    time.sleep(1)
    resting = not {"queued", "running"} & set(before[0].values())
    return resting and before == (dev.runs(), dev.approvals())


def _until(probe: Any, what: str) -> None:
    deadline = time.monotonic() + READY_S
    while not probe():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.2)


def _line(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], READY_S)
    text = process.stdout.readline() if ready else ""
    if not text:
        process.kill()
        raise AssertionError(f"keyturn dev did not start: {process.communicate()[1]}")
    return json.loads(text)


def _stop(process: "subprocess.Popen[str]") -> None:
    """End it as Ctrl-C does, where it still runs and its pipes are open."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=STOP_S)


def _name(process: psutil.Process) -> str:
    try:
        command = process.cmdline()
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return ""
    for module in ("keyturn.orchestrator.cli", "keyturn.orchestrator.cli.demo.world"):
        if module in command:
            rest = command[command.index(module) + 1 :]
            return "demo.world" if module.endswith("world") else " ".join(rest)
    return ""


def _is_ours(name: str) -> bool:
    return name.startswith(("KEYTURN_", "OPENAI_", "ANTHROPIC_"))
