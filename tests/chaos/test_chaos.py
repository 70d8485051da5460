"""Everything is killed at random, clients retry and click twice: the books agree.

`make chaos` takes 300 runs and minutes; here is its short form. KEYTURN_CHAOS_SEED
repeats a choice of victims; the interleaving with the machine's own work is new.
"""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.rules.status import ENDED_RUNS
from tests.chaos import findings
from tests.chaos.people import (
    Approver,
    Clerk,
    Client,
    begin,
    client,
    mails,
    refunds,
    tenant,
)
from tests.chaos.site import Saboteur, Site, site
from tests.servers.own import Own

RUNS = int(os.environ.get("KEYTURN_CHAOS_RUNS", "9"))
SECONDS = float(os.environ.get("KEYTURN_CHAOS_SECONDS", "14"))
# After the last strike everything has this long to come to its end.
CALM_S = 240.0
PAUSE_S = 0.8
PEOPLE = {
    "desk": "developer",
    # Whoever approved an effect does not record that it never happened.
    "olga": "operator",
    "lea": "lead",
    "lou": "lead",
    "amy": "agent",
}

pytestmark = pytest.mark.timeout(SECONDS + CALM_S + 240)


def test_p09_whatever_is_killed_the_books_agree(
    tmp_path: Path, own_temporal: Own, own_postgres: Own
) -> None:
    seed = int(os.environ.get("KEYTURN_CHAOS_SEED", str(time.time_ns() % 10**9)))
    choose = random.Random(seed)  # noqa: S311 chaos, no secret
    sender = str(Settings.model_fields["mail_from"].default)
    with site(tmp_path, own_temporal, own_postgres) as struck, ExitStack() as stack:
        starter, operator, lead, *others = (
            stack.enter_context(client(struck, f"{name}@example.com", role))
            for name, role in PEOPLE.items()
        )
        tenants = dict.fromkeys(tenant(number) for number in range(RUNS))
        declared = struck.keyturn("tenant", "add", *tenants)
        assert declared.status == 0, declared.err
        people = [lead, *others]
        approvers = [Approver(who, random.Random(choose.random())) for who in people]  # noqa: S311 as above
        clerk = Clerk(struck, operator, sender)
        saboteur = Saboteur(struck, choose, PAUSE_S)
        for one in (*approvers, clerk, saboteur):
            one.start()
            # Whatever fails below: what they start must not outlive the test.
            stack.callback(one.stop)

        _start_all(starter, then=saboteur.stop)
        _await_calm(struck, lead)
        for one in (*approvers, clerk):
            one.stop()

        record = asyncio.run(findings.read(own_postgres.address))
        wrong = findings.wrong(record, refunds(struck), mails(struck), sender)
    counts = {
        "seed": seed,
        "runs": dict(Counter(run.status for run in record.runs)),
        "approvals": dict(Counter(one.status for one in record.approvals)),
        "effects": dict(Counter(one.status for one in record.effects)),
        "decisions": sum(map(len, record.decisions.values())),
        "answers to clicks": dict(sum((a.answers for a in approvers), Counter[int]())),
        "recorded by a person": dict(clerk.recorded),
        "killed": dict(struck.killed),
    }
    sys.stdout.write(f"\n{counts}\n")
    failed = [words for one in (*approvers, clerk, saboteur) for words in one.failed]
    assert failed == [], (counts, failed[:5])
    assert wrong == [], (counts, wrong[:10])
    assert len(record.runs) == RUNS


def _start_all(starter: Client, *, then: Callable[[], None]) -> None:
    """Start the runs evenly over the time of the strikes; `then` they end."""
    began = time.monotonic()
    with ThreadPoolExecutor(4) as hands:
        begun: list[Future[str]] = []
        for number in range(RUNS):
            begun.append(hands.submit(begin, starter, number))
            due = began + SECONDS * (number + 1) / RUNS
            time.sleep(max(0.0, due - time.monotonic()))
        then()
    assert len({one.result() for one in begun}) == RUNS


def _await_calm(struck: Site, lead: Client) -> None:
    """Return once all runs have ended, or when that takes too long."""
    deadline = time.monotonic() + CALM_S
    while time.monotonic() < deadline:
        struck.revive()
        runs = lead.items("/runs")
        if len(runs) == RUNS and all(run["status"] in ENDED_RUNS for run in runs):
            return
        time.sleep(1)
