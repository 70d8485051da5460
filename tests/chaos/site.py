"""A whole installation whose every part can be killed and comes back."""

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from tests.acceptance.installation import Kind, Process, begin
from tests.orchestrator.cli.program import Keyturn, here
from tests.servers import http
from tests.servers.launch import ServerUnavailable
from tests.servers.own import Own
from tests.servers.ports import free_port

SCENARIO = "keyturn.activities.llm.simulator.support:play"
WRITE_TOKEN = "only effect workers know it"  # noqa: S105 made for this test
START_S = 240.0
# How long a part stays away, in seconds.
AWAY_S = (0.1, 1.5)
# The pause between strikes, as a share of how long our processes take to come up.
PAUSE_A_START = 0.2


@dataclass
class Site:
    """Our processes, their servers, and the world around them, which is not killed."""

    keyturn: Keyturn
    temporal: Own
    postgres: Own
    shop: str
    mailbox: str
    processes: dict[str, Process] = field(default_factory=dict[str, Process])
    killed: Counter[str] = field(default_factory=Counter[str])
    start_s: float = 0.0

    @property
    def api(self) -> str:
        """The address of the API."""
        return f"{self.keyturn.environment['KEYTURN_URL']}/api/v1"

    def parts(self) -> list[str]:
        """The names of all that can be killed."""
        return [*self.processes, "temporal", "postgres"]

    def start(self) -> None:
        """Start our processes."""
        kinds: dict[str, Kind] = {
            "web": "web",
            "worker 1": "worker",
            "worker 2": "worker",
            "effects 1": "effect worker",
            "effects 2": "effect worker",
        }
        began = time.monotonic()
        for name, kind in kinds.items():
            self.processes[name] = begin(self.keyturn, kind)
        _await(f"{self.api.removesuffix('/api/v1')}/readyz")
        self.start_s = time.monotonic() - began

    def strike(self, choose: random.Random) -> None:
        """SIGKILL a part and start it again after a while."""
        name = choose.choice(self.parts())
        away = choose.uniform(*AWAY_S)
        self.killed[name] += 1
        if name in ("temporal", "postgres"):
            server = self.temporal if name == "temporal" else self.postgres
            server.kill()
            time.sleep(away)
            _start(server)
            return
        old = self.processes[name]
        old.kill()
        time.sleep(away)
        self.processes[name] = begin(self.keyturn, old.kind)

    def revive(self) -> None:
        """Start again what ended by itself, as its supervisor would."""
        for name, process in self.processes.items():
            if process.started.poll() is not None:
                self.killed[f"{name} ended by itself"] += 1
                self.processes[name] = begin(self.keyturn, process.kind)

    def end(self) -> None:
        """End our processes; whatever they do needs no good end."""
        for process in self.processes.values():
            process.kill()


@contextmanager
def site(folder: Path, temporal: Own, postgres: Own) -> Generator[Site]:
    """Give a running installation; it ends with the block."""
    shop_port, box_port, smtp_port, model_port = (free_port() for _ in range(4))
    shop, box = f"http://127.0.0.1:{shop_port}", f"http://127.0.0.1:{box_port}"
    model = f"http://127.0.0.1:{model_port}"
    demo = "keyturn.orchestrator.cli.demo"
    at = ["--data-dir", str(folder / "shop")]
    with (
        _module(f"{demo}.shop", f"--port={shop_port}", "--faults", *at, token=True),
        _module(
            f"{demo}.mailbox",
            f"--port={box_port}",
            f"--smtp-port={smtp_port}",
            f"--data-dir={folder / 'mail'}",
        ),
        _module(
            "keyturn.activities.llm.simulator",
            f"--port={model_port}",
            "--scenario",
            SCENARIO,
        ),
    ):
        for url in (shop, box):
            _await(f"{url}/healthz")
        settings: Mapping[str, str] = {
            "KEYTURN_DATABASE_URL": postgres.address,
            "KEYTURN_TEMPORAL_ADDRESS": temporal.address,
            "KEYTURN_APPS": "tests.apps.apart",
            "KEYTURN_PAYMENTS_URL": shop,
            "KEYTURN_SERVICE_KEYS": f'{{"payments": "{WRITE_TOKEN}"}}',
            "KEYTURN_SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": f"{model}/v1",
            "ANTHROPIC_API_KEY": "none",
            "ANTHROPIC_BASE_URL": model,
        }
        keyturn = here(folder).but(**settings)
        for words in (("db", "upgrade"), ("release", "publish")):
            done = keyturn(*words)
            assert done.status == 0, done.err
        made = Site(keyturn, temporal, postgres, shop, box)
        try:
            made.start()
            yield made
        finally:
            made.end()


class Saboteur(threading.Thread):
    """Strikes again and again until it is told to stop."""

    def __init__(self, struck: Site, choose: random.Random, pause_s: float) -> None:
        super().__init__(daemon=True)
        self._site, self._choose = struck, choose
        # What never comes up between two strikes cannot fail in between either.
        self._pause_s = max(pause_s, struck.start_s * PAUSE_A_START)
        self._over = threading.Event()
        self.failed: list[str] = []

    def run(self) -> None:
        while not self._over.wait(self._choose.uniform(0, 2 * self._pause_s)):
            try:
                self._site.strike(self._choose)
                self._site.revive()
                self._break_the_shop()
            except Exception as error:  # noqa: BLE001 told at the end
                self.failed.append(repr(error))

    def stop(self) -> None:
        """Let the strike under way end, and strike no more."""
        self._over.set()
        # What it still starts would outlive the test.
        self.join(timeout=2 * START_S)
        assert not self.is_alive(), "the strike under way does not end"
        with suppress(httpx2.HTTPError):
            httpx2.delete(f"{self._site.shop}/faults", timeout=5)

    def _break_the_shop(self) -> None:
        kind = self._choose.choice(["before", "after", "busy", "cut", "hang"])
        fault = {"kind": kind, "path": "/refunds", "times": 1, "seconds": 3}
        httpx2.put(f"{self._site.shop}/faults", json=fault, timeout=5)


def _start(server: Own) -> None:
    # A killed PostgreSQL's children hold its memory until they notice.
    deadline = time.monotonic() + START_S
    while True:
        try:
            server.start()
        except ServerUnavailable:
            assert time.monotonic() < deadline, f"{server.address} does not come back"
            time.sleep(0.5)
        else:
            return


@contextmanager
def _module(name: str, *arguments: str, token: bool = False) -> Generator[None]:
    env = {**os.environ, **({"SHOP_WRITE_TOKEN": WRITE_TOKEN} if token else {})}
    command = [sys.executable, "-P", "-m", name, *arguments]
    running = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        running.terminate()
        running.wait(timeout=20)


def _await(url: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with suppress(httpx2.HTTPError):
            if http.get(url, timeout=2).is_success:
                return
        assert time.monotonic() < deadline, f"{url} does not come up"
        time.sleep(0.1)
