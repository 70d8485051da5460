"""An unknown effect's outcome, as a person found it out."""

from pydantic import BaseModel, ConfigDict

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.rules.text.model_notices import ModelNotice
from keyturn.orchestrator.store import outbox
from keyturn.orchestrator.store.approvals import siblings
from keyturn.orchestrator.store.db import locks
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.effects import compensation, errors, late_failure, send
from keyturn.orchestrator.store.effects.errors import NotSettled, NotUnknown
from keyturn.orchestrator.store.ledger.outcome import Meaning
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import EffectRow, RunRow


class Resolution(BaseModel):
    """A person's finding about an unknown effect."""

    model_config = ConfigDict(frozen=True)

    happened: bool
    evidence: str
    person: str
    person_name: str


async def resolve(store: Store, key: str, found: Resolution) -> EffectRow:
    """Record what really happened to an unknown effect, and signal its run.

    For an effect that failed later: whether it stayed done. Raises `NotUnknown`,
    `NotSettled` if it may still happen and is said never to have, or `NeedsAnother` if
    the person who had it done says so.
    """
    async with store.write() as session:
        effect = await session.get(EffectRow, key)
        if effect is None:
            raise NotFound(kind="effect", name=key)
        first = await compensation.lock_first(session, effect.run)
        run = await run_lookup.lock(session, effect.run)
        await locks.refresh_effect(session, effect)
        now = await session.read_clock()
        if not found.happened:
            _refuse_own(run, effect, found.person)
        if effect.reopened_at is not None:
            finding = late_failure.Finding(
                stayed=found.happened, **found.model_dump(exclude={"happened"})
            )
            await late_failure.settle(session, run, effect, finding)
            if first is not None:
                await siblings.look_again(session, first)
            return effect
        if effect.status != "unknown":
            raise NotUnknown(key, effect.status)
        until = send.unsettled_until(effect, now=now)
        if until is not None and not found.happened:
            raise NotSettled(key, until)
        words = f"{found.person_name} found out: {found.evidence}"
        kind = "done" if found.happened else "failed"
        meant = Meaning(kind=kind, words=words, notice=_notice(found))
        await send.apply(session, run, effect, meant)
        effect.evidence, effect.recorded_by = found.evidence, found.person
        if first is not None:
            await siblings.look_again(session, first)
        outbox.add(session, "wake", run.id, at=now)
        return effect


def _notice(found: Resolution) -> ModelNotice:
    name, evidence = found.person_name, found.evidence
    if found.happened:
        return model_notices.call_found_done(person=name, evidence=evidence)
    return model_notices.call_found_not_done(person=name, evidence=evidence)


def _refuse_own(run: RunRow, effect: EffectRow, person: str) -> None:
    """Raise `NeedsAnother` for people who wanted the effect: they may want it twice.

    If it never happened, its subject and its money are free, so that it can be drafted,
    and approved by the same person, once more.
    """
    if person in (run.started_by, run.customer, *effect.approvers):
        raise errors.NeedsAnother(
            f"You approved {effect.key}, or it is of your own run. Recording that it never "
            "happened, or failed later, lets it be done again, so another person "
            "has to record it. Give them your evidence."
        )
