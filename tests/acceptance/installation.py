"""Keyturn as it is installed: web, workers and effect workers, each a process."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from uuid import uuid4

import httpx2
from pydantic import BaseModel, ConfigDict, JsonValue

from keyturn.orchestrator.rules.authority.binding import Signer
from tests.orchestrator.cli import warm
from tests.orchestrator.cli.program import Keyturn, here
from tests.orchestrator.cli.warm import Started
from tests.servers import http

Kind = Literal["web", "worker", "effect worker"]
ARGUMENTS: dict[Kind, tuple[str, ...]] = {
    "web": ("serve",),
    "worker": ("worker",),
    "effect worker": ("worker", "--effects"),
}
# What a process of this kind must not be told.
SECRETS: dict[Kind, tuple[str, ...]] = {
    "web": ("KEYTURN_SERVICE_KEYS",),
    "worker": ("KEYTURN_SERVICE_KEYS", "KEYTURN_DECISION_KEY", "KEYTURN_SECRET_KEY"),
    "effect worker": ("KEYTURN_SECRET_KEY",),
}
# How long a worker may take to come up.
READY_S = 240
ENDED = frozenset({"completed", "handed_off", "failed", "cancelled"})
START_S = 240.0


class Run(BaseModel):
    """What these tests look at in a run."""

    model_config = ConfigDict(frozen=True)

    id: str
    external_id: str
    status: str
    turns: int


class Approval(BaseModel):
    """What a person needs to decide."""

    model_config = ConfigDict(frozen=True)

    id: str
    run: str
    tool: str
    binding: str | None


@dataclass(frozen=True)
class Process:
    """A process of ours, and the file where it says how it goes."""

    kind: Kind
    started: Started
    log: Path

    def is_at_work(self) -> bool:
        """Whether it has come up."""
        return b".ready" in self.log.read_bytes()

    def kill(self) -> None:
        """Crash it: SIGKILL."""
        self.started.kill()
        self.started.wait()

    def end(self) -> None:
        """End it in its own good way."""
        self.started.terminate()
        self.started.wait(timeout=30)


@dataclass
class Installation:
    """Running processes and two people's ways in: one starts runs, one approves."""

    keyturn: Keyturn
    starter: httpx2.Client
    approver: httpx2.Client
    workers: list[Process] = field(default_factory=list[Process])
    killed: Counter[Kind] = field(default_factory=Counter["Kind"])

    def add(self, kind: Kind) -> None:
        """Start one more worker of this kind."""
        self.workers.append(begin(self.keyturn, kind))

    def are_at_work(self) -> bool:
        """Whether every worker has come up."""
        return all(worker.is_at_work() for worker in self.workers)

    def await_work(self) -> None:
        """Return once every worker has come up."""
        deadline = time.monotonic() + READY_S
        while not self.are_at_work():
            assert time.monotonic() < deadline, "a worker does not come up"
            time.sleep(0.05)

    def kill_one(self, choose: random.Random) -> Kind:
        """SIGKILL a worker of either kind, and start another in its place.

        The kind that was killed less often has its turn.
        """
        fewest = min(self.killed[one.kind] for one in self.workers)
        due = [one for one in self.workers if self.killed[one.kind] == fewest]
        worker = choose.choice(due)
        self.workers.remove(worker)
        worker.kill()
        self.killed[worker.kind] += 1
        self.add(worker.kind)
        return worker.kind

    def stop(self) -> None:
        """End all workers; what they do needs no good end."""
        for worker in self.workers:
            worker.kill()

    def has_workflows(self) -> bool:
        """Whether a worker has brought its applications' releases."""
        return any(self._items("/contracts"))

    def declare(self, *tenants: str) -> None:
        """Declare tenants, as whoever installs it does."""
        said = self.keyturn("tenant", "add", *tenants)
        assert said.status == 0, said.err

    def start_run(self, body: Mapping[str, JsonValue]) -> Run:
        """Start a run over HTTP."""
        answer = self.starter.post("/runs", json=dict(body))
        assert answer.status_code == 202, answer.text
        return Run.model_validate(answer.json())

    def runs(self) -> list[Run]:
        """Give all runs."""
        return [Run.model_validate(item) for item in self._items("/runs")]

    def pending(self) -> list[Approval]:
        """Give what can be decided now."""
        found = self._items("/approvals", status="pending")
        return [one for one in map(Approval.model_validate, found) if one.binding]

    def approve(self, one: Approval) -> bool:
        """Say yes; False where it was too late."""
        body = {"decision": "approve", "binding": one.binding}
        answer = self.approver.post(f"/approvals/{one.id}:decide", json=body)
        assert answer.status_code in (200, 409, 412), answer.text
        return answer.is_success

    def _items(self, path: str, **params: str) -> Iterator[JsonValue]:
        query = {**params, "limit": "200"}
        while True:
            answer = self.approver.get(path, params=query)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            yield from body["items"]
            if body["next"] is None:
                return
            query["cursor"] = body["next"]


@contextmanager
def installation(
    folder: Path, temporal_address: str, settings: Mapping[str, str]
) -> Generator[Installation]:
    """Give an installation with one worker of each kind; it ends with the block."""
    keyturn = here(folder).but(
        KEYTURN_TEMPORAL_ADDRESS=temporal_address,
        KEYTURN_TASK_QUEUE=f"acceptance-{folder.name}",
        **settings,
    )
    for words in (("db", "upgrade"), ("release", "publish")):
        done = keyturn(*words)
        assert done.status == 0, done.err
    with ExitStack() as stack:
        web = begin(keyturn, "web")
        stack.callback(web.end)
        starter, approver = (
            stack.enter_context(_person(keyturn, role)) for role in ("lead", "agent")
        )
        made = Installation(keyturn, starter, approver)
        stack.callback(made.stop)
        made.add("worker")
        made.add("effect worker")
        _await(lambda: _answers(keyturn.environment["KEYTURN_URL"]), web)
        _await(made.has_workflows, web)
        yield made


def begin(keyturn: Keyturn, kind: Kind) -> Process:
    """Start a process that is told only what its kind needs."""
    told = {k: v for k, v in keyturn.environment.items() if k not in SECRETS[kind]}
    if kind == "effect worker":
        told["KEYTURN_DECISION_KEY"] = Signer(told["KEYTURN_DECISION_KEY"]).public()
    ours = ("KEYTURN_", "OPENAI_", "ANTHROPIC_")
    outer = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    log = keyturn.folder / f"{kind} {uuid4().hex}.log"
    started = warm.start(ARGUMENTS[kind], {**outer, **told}, keyturn.folder, log)
    return Process(kind, started, log)


def _person(keyturn: Keyturn, role: str) -> httpx2.Client:
    address = f"{role}@example.com"
    options = ("--name", role, "--role", role, "--decides-at-once")
    added = keyturn("user", "add", address, *options)
    assert added.status == 0, added.err
    token = keyturn("user", "token", address).out.strip()
    return httpx2.Client(
        base_url=f"{keyturn.environment['KEYTURN_URL']}/api/v1",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )


def _answers(url: str) -> bool:
    try:
        return http.get(f"{url}/healthz", timeout=2).is_success
    except httpx2.HTTPError:
        return False


def _await(is_ready: Callable[[], bool], web: Process) -> None:
    deadline = time.monotonic() + START_S
    while not is_ready():
        assert web.started.poll() is None, web.log.read_text()[-2000:]
        assert time.monotonic() < deadline, "the processes do not come up"
        time.sleep(0.1)
