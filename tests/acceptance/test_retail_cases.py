"""The retail cases through all of Keyturn: HTTP in, approvals, effects in the shop."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from examples.retail.shop.state import State, load
from tests.acceptance.installation import Run
from tests.acceptance.retail_cases import DATABASE, Case, cases, needs_cases
from tests.acceptance.retail_desk import (
    Desk,
    Setup,
    anthropic,
    desk,
)
from tests.depth import some
from tests.examples.retail.shop_calls import call

pytestmark = [needs_cases, pytest.mark.timeout(900)]

# A case's run takes three seconds at least; so few are begun in less.
FEW = 9
# How long so few may take to begin.
BEGIN_S = 20
# Of each kind, once all runs were hit; then what is left may end in peace.
KILLS = 3


def test_cases_leave_the_expected_state(tmp_path: Path, temporal_address: str):
    # The one below asks over the other format.
    chosen = some(cases(), of=6, turn=5)
    with desk(tmp_path, temporal_address, Setup(providers=anthropic)) as served:
        begin_all(served, chosen)

        for _ in served.until_all_ended():
            served.approve_all()

        assert served.endings() == expected_endings(chosen)
        assert wrong_states(served, chosen, as_expected) == []


def test_p02_cases_survive_workers_killed_at_random(
    tmp_path: Path, temporal_address: str
):
    seed = int(os.environ.get("KEYTURN_CHAOS_SEED", time.time_ns()))
    choose, hit, killed = random.Random(seed), set[str](), Counter[str]()  # noqa: S311 chaos, no secret

    def strike() -> None:
        time.sleep(choose.uniform(0, 0.3))
        hit.update(run.id for run in served.installed.runs() if is_in_work(run))
        killed[served.installed.kill_one(choose)] += 1

    # A model that ponders: else a case that waits for nobody is over before it is hit.
    pondering = Setup(scenario="tests.examples.retail.slow_thought:play")
    chosen = some(cases(), of=6, turn=1)
    with desk(tmp_path, temporal_address, pondering) as served:
        served.installed.add("worker")
        served.installed.add("effect worker")
        for few in batched(chosen, FEW):
            served.installed.await_work()
            begin_all(served, few)
            await_begin(served, few)
            strike()

        for _ in served.until_all_ended(pause_s=0.2):
            enough = len(hit) == len(chosen) and min_kills(killed) >= KILLS
            if not enough and served.installed.are_at_work():
                strike()
            served.approve_all(only=hit)

        assert served.endings() == expected_endings(chosen), seed
        assert wrong_states(served, chosen, as_expected) == [], seed
        assert len(hit) == len(chosen), (seed, killed)
        assert min_kills(killed) > 0, (seed, killed)
        assert keys_that_changed_twice(served, chosen) == [], seed


def test_p01_without_an_approver_only_what_can_be_put_right_is_done(
    tmp_path: Path, temporal_address: str
):
    base = load(DATABASE)

    def reversible_alone(case: Case) -> str:
        state = State(base)
        for action in case.actions:
            if action.kind == "write":
                call(state, case.customer, action.name, action.arguments)
        return state.digest()

    chosen = some(cases(), of=6, turn=3)
    unanswered = Setup(app="tests.apps.unanswered_retail")
    with desk(tmp_path, temporal_address, unanswered) as served:
        begin_all(served, chosen)

        for _ in served.until_all_ended():
            pass

        assert served.endings() == expected_endings(chosen)
        assert wrong_states(served, chosen, reversible_alone) == []


def begin_all(served: Desk, chosen: Sequence[Case]) -> None:
    """Start a run for each case."""
    served.installed.declare(*(case.id for case in chosen))
    for case in chosen:
        served.begin(case=case.id, customer=case.customer, text=case.instruction)


def batched(wanted: Sequence[Case], size: int) -> Iterator[Sequence[Case]]:
    """Give the cases a few at a time."""
    for first in range(0, len(wanted), size):
        yield wanted[first : first + size]


def await_begin(served: Desk, wanted: Sequence[Case]) -> None:
    """Return once no run of these cases waits for a worker, or after a while."""
    names = {case.id for case in wanted}
    deadline = time.monotonic() + BEGIN_S
    while time.monotonic() < deadline:
        found = [run for run in served.installed.runs() if run.external_id in names]
        if all(run.status != "queued" for run in found):
            return
        time.sleep(0.05)


def is_in_work(run: Run) -> bool:
    """Whether the run has begun and has not ended."""
    return run.status in ("running", "waiting")


def min_kills(killed: Counter[str]) -> int:
    """Give how often the kind was killed that was killed least."""
    return min(killed["worker"], killed["effect worker"])


def as_expected(case: Case) -> str:
    """Give the state that the case says."""
    return case.expected_state_hash


def expected_endings(chosen: Sequence[Case]) -> dict[str, str]:
    """Give how each should end: a person takes over where the case says so."""
    return {
        case.id: "handed_off"
        if any(action.kind == "handoff" for action in case.actions)
        else "completed"
        for case in chosen
    }


def wrong_states(
    served: Desk, chosen: Sequence[Case], expected: Callable[[Case], str]
) -> list[str]:
    """Give the cases whose shop is not in the expected state."""
    return [case.id for case in chosen if served.state_hash(case.id) != expected(case)]


def keys_that_changed_twice(served: Desk, chosen: Sequence[Case]) -> list[str]:
    """Give the effect keys that stand for more than one write."""
    keys = Counter(key for case in chosen for key in served.keys(case.id))
    return [key for key, times in keys.items() if times > 1]
