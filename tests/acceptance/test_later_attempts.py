"""P2: the double refund. A worker is killed while it sends, and the retry is refused.

The provider acted at the first request and was slow to say so; it refuses the second
under the same key. Nobody may conclude that nothing was done.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import JsonValue

from keyturn.activities.llm.simulator import (
    SimRequest,
    SimStep,
    call,
    running_simulator,
)
from tests.acceptance.installation import Installation, installation
from tests.engine.stage import DONE, refund_of

pytestmark = pytest.mark.timeout(600)

WITHIN_S = 120
# What the provider says to the second request of an order of this name.
REFUSALS = {
    "o-409": (409, "Another request with this key is still being processed."),
    "o-400": (400, "This was refunded already."),
    "o-403": (403, "Not allowed."),
}


class Provider:
    """Acts at the first request of each key, is silent then, and refuses the rest."""

    def __init__(self) -> None:
        self.seen: dict[str, list[str]] = {}
        self.silent = threading.Event()

    def hear(self, key: str, order: str) -> tuple[int, Any]:
        """Take a request and say what is answered."""
        requests = self.seen.setdefault(order, [])
        requests.append(key)
        if len(requests) == 1:
            self.silent.wait(60)
            return 200, {"id": f"r-{order}"}
        status, words = REFUSALS[order]
        return status, {"error": {"message": words}}


@contextmanager
def serving(provider: Provider) -> Generator[str]:
    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            key = self.headers["Idempotency-Key"]
            status, said = provider.hear(key, json.loads(body)["order_id"])
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the library's name
            """Say nothing."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                """Whoever asked was killed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        provider.silent.set()
        server.shutdown()
        server.server_close()
        thread.join()


async def test_p02_refusals_after_a_kill_leave_the_refund_unknown(
    tmp_path: Path, temporal_address: str, tables_url: str
) -> None:
    provider, requests = Provider(), list[SimRequest]()

    def scenario(request: SimRequest) -> SimStep:
        requests.append(request)
        order = next(o for o in REFUSALS if any(o in t for t in request.user_texts))
        first = sum(order in str(one.body) for one in requests) == 1
        return call("top_up", refund_of(order)) if first else DONE

    async with running_simulator(scenario) as model:
        with serving(provider) as url:
            settings = {
                "KEYTURN_DATABASE_URL": tables_url,
                "KEYTURN_APPS": "tests.apps.desk",
                "KEYTURN_SERVICES": json.dumps({"shop": url}),
                "OPENAI_API_KEY": "none",
                "OPENAI_BASE_URL": f"{model}/v1",
                "ANTHROPIC_API_KEY": "none",
                "ANTHROPIC_BASE_URL": model,
            }
            await asyncio.to_thread(
                play, tmp_path, temporal_address, settings, provider
            )

    assert len(requests) == len(REFUSALS), "no model was told anything"


def play(
    folder: Path, temporal_address: str, settings: dict[str, str], provider: Provider
) -> None:
    """Kill the effect worker while it sends, and look at what is recorded."""
    with installation(folder, temporal_address, settings) as installed:
        runs = {order: start(installed, order) for order in REFUSALS}
        until(lambda: len(provider.seen) == len(REFUSALS))
        kill_effect_worker(installed)

        until(lambda: statuses(installed) == {"unknown"})

        for order, run in runs.items():
            [effect] = of_run(installed, run)
            # What a provider said is for operators; an agent reads where to ask.
            assert f"reference {run}" in effect["error"]
            assert REFUSALS[order][1] not in effect["error"]
            assert len(provider.seen[order]) == 2
            assert len(set(provider.seen[order])) == 1
        until(lambda: {r.status for r in installed.runs()} == {"waiting"})


def start(installed: Installation, order: str) -> str:
    ticket: JsonValue = {
        "customer_id": f"c-{order}",
        "text": f"Top up {order}, please.",
    }
    body = {"workflow": "desk", "source": "test", "external_id": order}
    return installed.start_run({**body, "input": ticket}).id


def kill_effect_worker(installed: Installation) -> None:
    [worker] = [one for one in installed.workers if one.kind == "effect worker"]
    worker.kill()
    installed.workers.remove(worker)
    installed.add("effect worker")


def statuses(installed: Installation) -> set[str]:
    return {effect["status"] for effect in listed(installed.approver)}


def of_run(installed: Installation, run: str) -> list[dict[str, Any]]:
    return [one for one in listed(installed.approver) if one["run"] == run]


def listed(person: httpx2.Client) -> Iterator[dict[str, Any]]:
    answer = person.get("/effects")
    assert answer.status_code == 200, answer.text
    yield from answer.json()["items"]


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)
