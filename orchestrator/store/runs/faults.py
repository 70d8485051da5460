"""Failures caused by faults of code, while they are retried, and how that ends.

An unreachable store is not a fault of code: it is retried without end, and not recorded
here.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from keyturn.orchestrator.rules.status import ENDED_RUNS, IN_TEMPORAL
from keyturn.orchestrator.rules.text import scrub
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import counters
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.incidents.incidents import NewIncident
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import RunRow

# An author's own `run`, besides the turns and calls that are named by number.
WORKFLOW = "the workflow's own code"
ENGINE = IN_TEMPORAL
LONGEST_WORDS = 2_000


class Fault(BaseModel):
    """One failure: its place, its kind, and its words for operators."""

    model_config = ConfigDict(frozen=True)

    place: str
    kind: str
    words: str


class Failing(BaseModel):
    """A failing place of a run: how often, since when, and how it continues."""

    model_config = ConfigDict(frozen=True)

    place: str
    kind: str
    words: str
    times: int
    since: datetime
    last: datetime
    given_up: bool = False

    @property
    def message(self) -> str:
        """Return our own sentence, for the model and people other than operators."""
        often = "once" if self.times == 1 else f"{self.times} times"
        return f"{self.place} failed {often} ({self.kind})"


def of(run: RunRow) -> list[Failing]:
    """Return the failing places of a run, oldest first."""
    found = [Failing.model_validate(one) for one in (run.failing or {}).values()]
    return sorted(found, key=lambda one: one.since)


async def note(
    store: Store, run: str, fault: Fault, *, times: int | None = None
) -> Failing:
    """Record one more failure at a place; return what is known of it.

    `times` is given if another process has counted: the recorded number of failures is
    kept. Raises `NotFound` for a run that does not exist.
    """
    async with store.write() as session:
        row = await run_lookup.lock(session, run)
        now = await session.read_clock()
        known = (row.failing or {}).get(fault.place)
        before = Failing.model_validate(known) if known else None
        if before is not None and before.times == times:
            return before
        found = Failing(
            place=fault.place,
            kind=fault.kind,
            words=scrub.text(fault.words)[:LONGEST_WORDS],
            times=times or (before.times if before else 0) + 1,
            since=before.since if before else now,
            last=now,
            given_up=bool(before and before.given_up),
        )
        if fault.place == ENGINE and row.status in ENDED_RUNS:
            # The failure seen in Temporal a moment ago is over.
            return found
        _put(row, found)
        log.record(
            session,
            log.Entry(
                actor=f"run:{run}",
                kind="run.failing",
                tenant=row.tenant,
                run=run,
                payload={
                    "place": found.place,
                    "kind": found.kind,
                    "times": found.times,
                },
            ),
            at=now,
        )
        await counters.add(
            session, counters.CODE_ERRORS, subject=row.workflow, kind=fault.kind
        )
        return found


async def give_up(
    store: Store, run: str, place: str, *, ends_run: bool, alarms: bool
) -> None:
    """Record that a place is not retried any more.

    `ends_run`: it is left as the reason of the run's fallback. `alarms`: it opens the
    run's incident, once.
    """
    async with store.write() as session:
        row = await run_lookup.lock(session, run)
        found = Failing.model_validate((row.failing or {})[place])
        _put(row, found.model_copy(update={"given_up": True}))
        if ends_run and row.status not in ENDED_RUNS and row.handed_off is None:
            reason = f"code_error: {found.message}; reference {run}"
            row.handed_off = {"reason": reason, "detail": None}
        if alarms:
            await open_incident(session, row, found)


async def open_incident(session: Tx, row: RunRow, found: Failing) -> None:
    """Open the incident of a run with failing code, in this transaction, once."""
    source = f"code error in {row.id}"
    if await incidents.of_source(session, source) is not None:
        return
    new = NewIncident(
        severity="high",
        title=f"Run {row.id} of {row.workflow}: {found.message}",
        source=source,
        tenant=row.tenant,
        detail={
            "run": row.id,
            "place": found.place,
            "kind": found.kind,
            "words": _one_line(found.words),
            "code_version": row.code_version,
        },
    )
    await incidents.add(session, new, by="system")


async def alarm(store: Store, run: str, place: str) -> None:
    """Open the run's incident, and let the run continue."""
    async with store.write() as session:
        row = await run_lookup.lock(session, run)
        if known := (row.failing or {}).get(place):
            await open_incident(session, row, Failing.model_validate(known))


async def heal(store: Store, run: str, place: str) -> None:
    """Clear a place's failure: it went on."""
    async with store.write() as session:
        healed(await run_lookup.lock(session, run), place)


def healed(row: RunRow, *places: str) -> None:
    """Clear places' failures from a locked run."""
    if row.failing and set(places) & row.failing.keys():
        left = {k: v for k, v in row.failing.items() if k not in places}
        row.failing = left or None


def turn_place(turn: int) -> str:
    """Return the place's name of a turn."""
    return f"turn {turn}"


def call_place(turn: int, index: int) -> str:
    """Return the place's name of a call."""
    return f"call {turn}.{index}"


def _put(row: RunRow, found: Failing) -> None:
    kept: dict[str, Any] = dict(row.failing or {})
    kept[found.place] = found.model_dump(mode="json")
    # A new mapping: a change within the old one would not be noticed.
    row.failing = kept


def _one_line(words: str) -> str:
    # An incident's words are plain text: no line breaks, nothing invisible.
    return "".join(one if one.isprintable() else " " for one in words)
