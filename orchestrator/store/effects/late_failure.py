"""Late failure: an effect was done, and failed at the provider later.

Its status stays done. Later reports are kept beside it, its item returns to people, and
its money counts as moved until a person records, with evidence, that it did not stay: a
wrong statement must free no limit.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.money.money import format_minor
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.rules.text import plain_text
from keyturn.orchestrator.store.approvals import siblings
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import locks
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.effects import compensation
from keyturn.orchestrator.store.effects.errors import NeedsAnother, NotDone
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.incidents.incidents import NewIncident
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs.handoffs import REOPENED
from keyturn.orchestrator.store.status import effect as effect_status
from keyturn.orchestrator.store.status import run as run_status
from keyturn.orchestrator.store.tables import EffectRow, IncidentRow, NoteRow, RunRow

_INNER_QUOTES = str.maketrans("“”", "''")


class Later(BaseModel):
    """A report on a done effect, with its author: a person's id or `system`.

    `reference` is the statement's.
    """

    model_config = ConfigDict(frozen=True)

    how: Literal["failed", "reversed"]
    words: str
    by: str
    by_name: str
    reference: str | None = None


class Finding(BaseModel):
    """A person's finding about a reopened effect."""

    model_config = ConfigDict(frozen=True)

    stayed: bool
    evidence: str
    person: str
    person_name: str


async def reopen(store: Store, key: str, later: Later) -> IncidentRow | None:
    """Return a done effect to people; return its incident, None if nothing is new.

    Raises `NotDone` for an effect in another state.
    """
    async with store.write() as session:
        effect = await session.get(EffectRow, key)
        if effect is None:
            raise NotFound(kind="effect", name=key)
        first = await compensation.lock_first(session, effect.run)
        run = await run_lookup.lock(session, effect.run)
        await locks.refresh_effect(session, effect)
        source = _source(effect, later.how)
        if await incidents.of_source(session, source) is not None:
            # The statement repeats it every day; a person has it already, or has
            # settled it.
            return None
        if effect.status != "done":
            raise NotDone(key, effect.status)
        now = await session.read_clock()
        plain_text.check({"text": later.words, "reference": later.reference})
        effect.later = {**later.model_dump(), "at": now.isoformat()}
        effect.reopened_at = now
        await hand_back(session, run, effect)
        await session.flush()
        await siblings.void_untrue(session, run)
        if first is not None:
            await siblings.look_again(session, first)
        log.record(session, _entry(effect, later), at=now)
        return await incidents.add(session, _incident(effect), by=later.by)


async def settle(session: Tx, run: RunRow, effect: EffectRow, found: Finding) -> None:
    """Record whether a reopened effect of a run stayed done; their rows are locked.

    Only now its money no longer counts as moved, and a message that waits to tell the
    customer of it continues, or is void if its model was told otherwise. Raises
    `NeedsAnother` for the person who reported the failure: taking money out of the
    limits takes a second person.
    """
    said = effect.later or {}
    if said.get("by") == found.person:
        raise NeedsAnother(
            f"You reported yourself that {effect.key} failed later, so another person has to "
            "record the outcome."
        )
    effect.later = {
        **said,
        "stayed": found.stayed,
        "settled_at": session.now.isoformat(),
    }
    effect.reopened_at = None
    effect.evidence, effect.recorded_by = found.evidence, found.person
    if not found.stayed:
        effect_status.move(effect, "failed")
        effect.ended_at = session.now
        effect.error = f"{reason(effect)}; {found.person_name} found: {found.evidence}"
    log.record(
        session,
        log.Entry(
            actor=found.person,
            kind="effect.stayed" if found.stayed else "effect.failed_later",
            tenant=effect.tenant,
            run=effect.run,
            subject=effect.key,
            payload={"tool": effect.tool, "evidence": found.evidence},
        ),
        at=session.now,
    )
    await siblings.look_again(session, run)


async def hand_back(session: Tx, run: RunRow, effect: EffectRow) -> None:
    """Return an ended run to the hand-offs, because of a later failure.

    An open run is handed off when it ends; see `end.finish`.
    """
    if run.status not in ENDED_RUNS:
        return
    was = run.status
    run_status.move(run, "handed_off")
    run.settled_at = None
    run.handed_off = {"reason": reason(effect), "detail": None, "was": was}
    said = effect.later or {}
    session.add(
        NoteRow(
            run=run.id,
            person=said["by"],
            person_name=said["by_name"],
            kind=REOPENED,
            text=said["words"],
            created_at=session.now,
        )
    )
    log.record(
        session,
        log.Entry(
            actor=said["by"],
            kind="run.handed_off",
            tenant=run.tenant,
            run=run.id,
            payload={"reason": run.handed_off["reason"], "was": was},
        ),
        at=session.now,
    )


def reason(effect: EffectRow) -> str:
    """Return why a run is back with people."""
    how = "failed" if (effect.later or {}).get("how") == "failed" else "was reversed"
    return f"{_what(effect)} was done and {how} later"


def _what(effect: EffectRow) -> str:
    if effect.amount is None or effect.currency is None:
        return effect.tool
    return f"{effect.tool} of {format_minor(effect.amount, effect.currency)}"


def _entry(effect: EffectRow, later: Later) -> log.Entry:
    return log.Entry(
        actor=later.by,
        kind="effect.reopened",
        tenant=effect.tenant,
        run=effect.run,
        subject=effect.key,
        payload={"tool": effect.tool, "how": later.how, "reference": later.reference},
    )


def _source(effect: EffectRow, how: str) -> str:
    return f"reopened:{how}:{effect.key}"


def _incident(effect: EffectRow) -> NewIncident:
    said = effect.later or {}
    # Its own quotes must not end ours: text outside of them is read as ours.
    customer = effect.customer.translate(_INNER_QUOTES)
    return NewIncident(
        severity="high",
        title=f"{reason(effect)}, for customer “{customer}”",
        source=_source(effect, said["how"]),
        detail={
            "effect": effect.key,
            "run": effect.run,
            "words": said["words"],
            "reference": said["reference"],
        },
        tenant=effect.tenant,
    )
