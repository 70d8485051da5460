"""Clients of an installation that keeps failing: they try again, and click twice."""

import random
import threading
import time
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2

from keyturn.activities.connectors.smtp import message_id
from keyturn.orchestrator.cli.demo.tickets import TICKETS
from tests.chaos.site import WRITE_TOKEN, Site
from tests.servers import http

# Nobody waits for longer than this for one request to come through.
PATIENCE_S = 120.0
# How many of a list somebody decides before they look at it anew.
AT_ONCE = 15
# An unknown effect is looked up when whoever was sending it has surely ended.
SETTLED_S = 6.0
FINAL = frozenset({200, 201, 202, 400, 403, 404, 409, 412, 422})


@dataclass(frozen=True)
class Client:
    """One person or service at the API, who never gives up too early."""

    http: httpx2.Client

    def insist(self, method: str, path: str, **body: Any) -> httpx2.Response:
        """Send a request until it is answered for good; one key for all tries."""
        headers = {"Idempotency-Key": uuid4().hex} if method == "POST" else {}
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = self.http.request(method, path, headers=headers, **body)
            except httpx2.HTTPError as error:
                words = repr(error)
            else:
                # The first try of this key may still be under way.
                is_early = "retry-after" in answer.headers
                if answer.status_code in FINAL and not is_early:
                    return answer
                words = f"{answer.status_code} {answer.text[:300]}"
            assert time.monotonic() < deadline, f"{method} {path}: {words}"
            time.sleep(0.2)

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """All items of a listing."""
        found: list[dict[str, Any]] = []
        wanted = {**query, "limit": "200"}
        while True:
            body = self.insist("GET", path, params=wanted).json()
            found += body["items"]
            if body["next"] is None:
                return found
            wanted["cursor"] = body["next"]


@contextmanager
def client(site: Site, address: str, role: str) -> Generator[Client]:
    """A new person's own way in."""
    options = ("--name", address, "--role", role, "--decides-at-once")
    added = site.keyturn("user", "add", address, *options)
    assert added.status == 0, added.err
    token = site.keyturn("user", "token", address).out.strip()
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=site.api, headers=headers, timeout=10) as http:
        yield Client(http)


def tenant(number: int) -> str:
    """The tenant of a ticket's run, which has a shop of its own with three orders.

    Two runs want the same of each, which makes them meet.
    """
    return f"chaos-{number // 6}"


def begin(starter: Client, number: int) -> str:
    """Start one ticket's run; a repeated start is the first."""
    ticket = TICKETS[number % 3]
    body = {
        "workflow": "support-ticket",
        "tenant": tenant(number),
        "source": "chaos",
        "external_id": str(number),
        "input": ticket.input(),
    }
    first, again = (starter.insist("POST", "/runs", json=body) for _ in range(2))
    statuses = first.status_code, again.status_code
    assert statuses in ((202, 200), (200, 200)), (first.text, again.text)
    assert first.json()["id"] == again.json()["id"]
    return str(first.json()["id"])


class Approver(threading.Thread):
    """Decides what waits, each time with a double click, until told to stop."""

    def __init__(self, who: Client, choose: random.Random) -> None:
        super().__init__(daemon=True)
        self._who, self._choose = who, choose
        self._over = threading.Event()
        self.answers: Counter[int] = Counter()
        self.failed: list[str] = []

    def run(self) -> None:
        with ThreadPoolExecutor(2) as fingers:
            while not self._over.wait(0.2):
                try:
                    self._look(fingers)
                except Exception as error:  # noqa: BLE001 told at the end
                    self.failed.append(repr(error))

    def stop(self) -> None:
        """Let the decision under way end."""
        self._over.set()
        self.join(timeout=PATIENCE_S)

    def _look(self, fingers: ThreadPoolExecutor) -> None:
        waiting = [
            one
            for one in self._who.items("/approvals", status="pending")
            if one["binding"]
        ]
        self._choose.shuffle(waiting)
        for one in waiting[:AT_ONCE]:
            body = self._answer(one)
            clicks = [fingers.submit(self._click, one["id"], body) for _ in range(2)]
            for click in clicks:
                self.answers[click.result()] += 1

    def _answer(self, one: dict[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {"binding": one["binding"]}
        chance = self._choose.random()
        if chance < 0.15:
            return body | {"decision": "reject", "reason": "Not this one."}
        if chance < 0.3 and one["money"]:
            money = one["arguments"]["amount"]
            less = {**money, "amount": max(1, money["amount"] - 100)}
            edited = {**one["arguments"], "amount": less}
            return body | {"decision": "approve", "arguments": edited}
        return body | {"decision": "approve"}

    def _click(self, approval: str, body: dict[str, Any]) -> int:
        path = f"/approvals/{approval}:decide"
        return self._who.insist("POST", path, json=body).status_code


class Clerk(threading.Thread):
    """Looks up what became of unknown effects, and records what the world says."""

    def __init__(self, site: Site, who: Client, sender: str) -> None:
        super().__init__(daemon=True)
        self._site, self._who, self._sender = site, who, sender
        self._over = threading.Event()
        self._seen: dict[str, float] = {}
        self.recorded: Counter[str] = Counter()
        self.failed: list[str] = []

    def run(self) -> None:
        while not self._over.wait(0.5):
            try:
                for one in self._who.items("/effects", status="unknown"):
                    self._record(str(one["key"]))
            except Exception as error:  # noqa: BLE001 told at the end
                self.failed.append(repr(error))

    def stop(self) -> None:
        """Let the look-up under way end."""
        self._over.set()
        self.join(timeout=PATIENCE_S)

    def _record(self, key: str) -> None:
        first = self._seen.setdefault(key, time.monotonic())
        if time.monotonic() < first + SETTLED_S:
            return
        happened = key in refunds(self._site) or (
            message_id(key, self._sender) in mails(self._site)
        )
        body = {"happened": happened, "evidence": "the world's own books"}
        answer = self._who.insist("POST", f"/effects/{key}:record", json=body)
        self.recorded[f"{happened} {answer.status_code}"] += 1


def refunds(site: Site) -> dict[str, int]:
    """The shop's refunds: each key, and how much was paid."""
    headers = {"Authorization": f"Bearer {WRITE_TOKEN}"}
    found: dict[str, int] = {}
    asked: dict[str, str] = {"since": "2020-01-01T00:00:00Z"}
    while True:
        answer = http.get(
            f"{site.shop}/statement", params=asked, headers=headers, timeout=10
        ).json()
        found |= {one["key"]: one["amount"] for one in answer["lines"]}
        if answer["next"] is None:
            return found
        asked["cursor"] = answer["next"]


def mails(site: Site) -> Counter[str]:
    """The mailbox: how often each Message-ID came."""
    answer = http.get(f"{site.mailbox}/mails", timeout=10)
    return Counter(one["message_id"] for one in answer.json()["items"])
