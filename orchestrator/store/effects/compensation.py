"""Compensation: a done effect is taken back by a separate action.

The action has a run of its own, and so a call, a key, limits and an approval of its
own. The person who requests it started that run, and may not approve it.
"""

from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, or_, select

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.status import COUNTED_EFFECTS, ENDED_RUNS
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import locks
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.effects.errors import NoCompensation
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs import start
from keyturn.orchestrator.store.runs.start import Fitted, NewRun
from keyturn.orchestrator.store.tables import CallRow, EffectRow, NoteRow, RunRow

NOTE = "compensates"


@dataclass(frozen=True)
class Wanted:
    """What a compensating run has to take back, who requested it, and why.

    `call` is its own action, once it is drafted.
    """

    effect: EffectRow
    tool: str
    words: str
    call: CallRow | None


async def ask(
    store: Store, key: str, *, by: str, by_name: str, reason: str
) -> tuple[RunRow, bool]:
    """Return the run that compensates a done effect, and whether it is new.

    At most one per effect; another one only if the first ended with nothing sent.
    Raises `NoCompensation` if its tool declares none, its contract does not grant it,
    or the effect is not done.
    """
    try:
        async with store.write() as session:
            found = await of_effect(session, key)
            if found is not None:
                return found, False
            return await _begin(session, key, (by, by_name, reason))
    except IntegrityError:
        async with store.read() as session:
            found = await of_effect(session, key)
        if found is None:
            raise
        return found, False


async def of_effect(session: Tx, key: str) -> RunRow | None:
    """Return the run that compensates this effect, or may have, or None."""
    run = await _latest(session, key)
    if run is None or await _came_to_nothing(session, run):
        return None
    return run


async def _latest(session: Tx, key: str) -> RunRow | None:
    query = select(RunRow).where(
        col(RunRow.compensates) == key, col(RunRow.let_go_at).is_(None)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def _came_to_nothing(session: Tx, run: RunRow) -> bool:
    """Tell whether a run ended and nothing of it was sent, or may have been.

    This never changes again: nothing of a run that has ended begins to be sent.
    """
    if run.status not in ENDED_RUNS:
        return False
    sent = select(EffectRow.key).where(
        col(EffectRow.run) == run.id,
        or_(
            col(EffectRow.sending_at).is_not(None),
            col(EffectRow.status).in_(COUNTED_EFFECTS),
        ),
    )
    return (await session.execute(sent.limit(1))).first() is None


async def load(store: Store, run: RunRow) -> Wanted:
    """Return the task of a compensating run; raises `NoCompensation`."""
    async with store.read() as session:
        effect = await session.get(EffectRow, run.compensates)
        if effect is None:
            raise NoCompensation(f"There is no effect {run.compensates}.")
        release = await releases.load(session, run.release)
        query = select(NoteRow).where(
            col(NoteRow.run) == run.id, col(NoteRow.kind) == NOTE
        )
        note = (await session.execute(query)).scalars().first()
        said = f"{note.person_name} requests it: {note.text}" if note else ""
        known = {one.name: one for one in release.tools}
        spec = known.get(effect.tool)
        if spec is None or spec.compensate not in known:
            raise NoCompensation(f"{effect.tool} can no longer be compensated.")
        return Wanted(
            effect=effect,
            tool=spec.compensate,
            words=f"Takes back {effect.key} ({effect.tool}). {said}".strip(),
            call=await session.get(CallRow, (run.id, 1, 0)),
        )


async def why_not(session: Tx, run: RunRow) -> str | None:
    """Return why a compensating run may not act now; None if it may, or is not one.

    The effect it takes back must still be known as done. That effect is locked: a
    report that it failed comes before this action's start, or after it.
    """
    if run.compensates is None:
        return None
    effect = await locks.share_effect(session, run.compensates)
    known = state(effect) if effect is not None else "missing"
    if known == "done":
        return None
    return f"what it takes back, {run.compensates}, is {known} and not done"


async def lock_first(session: Tx, run: str) -> RunRow | None:
    """Lock the run whose effect this run compensates, before this run; None if there is none.

    Its pending messages to the customer about that effect end with the effect.
    """
    query = (
        select(EffectRow.run)
        .join(RunRow, col(RunRow.compensates) == col(EffectRow.key))
        .where(col(RunRow.id) == run)
    )
    first = (await session.execute(query)).scalar_one_or_none()
    return await run_lookup.lock(session, first) if first is not None else None


def state(effect: EffectRow) -> str:
    """Return an effect's status, or `reopened` if it was reported failed later."""
    return "reopened" if effect.reopened_at is not None else effect.status


async def _begin(
    session: Tx, key: str, asked: tuple[str, str, str]
) -> tuple[RunRow, bool]:
    """Begin a run in place of one that ended with nothing sent; see `ask`."""
    # Before any row is locked: `start.insert` shares it, too.
    await session.share_barrier()
    effect = await session.get(EffectRow, key)
    if effect is None:
        raise NotFound(kind="effect", name=key)
    # One request at a time: the second one finds the run of the first.
    first = await run_lookup.lock(session, effect.run)
    await locks.refresh_effect(session, effect)
    found = await of_effect(session, key)
    if found is not None:
        return found, False
    dead = await _latest(session, key)
    row = await _start(session, (effect, first), asked)
    if dead is not None:
        dead.let_go_at = row.created_at
        await session.flush()
    row.compensates = key
    await session.flush()
    return row, True


async def _start(
    session: Tx, taken: tuple[EffectRow, RunRow], asked: tuple[str, str, str]
) -> RunRow:
    by, by_name, reason = asked
    effect, first = taken
    key = effect.key
    if state(effect) != "done":
        raise NoCompensation(
            f"Effect {key} is {state(effect)}; only an effect that is known to be done can be compensated."
        )
    name, live = await releases.live(session, effect.workflow)
    known = {one.name: one for one in live.tools}
    spec = known.get(effect.tool)
    if spec is None or spec.compensate not in known:
        raise NoCompensation(
            f"{effect.tool} declares no `compensate` in the live release of "
            f"{effect.workflow}. Take {key} back outside Keyturn, and add a note to the run."
        )
    value = canonical.parse(first.input)
    new = NewRun(
        workflow=effect.workflow,
        input=value if isinstance(value, dict) else {},
        tenant=effect.tenant,
        started_by=by,
    )
    # The input was valid when the first run began, and no model reads it here.
    fitted = Fitted(release=name, text=first.input)
    row = await start.insert(session, new, fitted)
    # The customer of the done effect, whichever field a newer release takes for it.
    row.customer, row.contact = first.customer, first.contact
    now = await session.read_clock()
    session.add(
        NoteRow(
            run=row.id,
            person=by,
            person_name=by_name,
            kind=NOTE,
            text=reason,
            created_at=now,
        )
    )
    log.record(
        session,
        log.Entry(
            actor=by,
            kind="effect.compensation_asked",
            tenant=effect.tenant,
            run=effect.run,
            subject=key,
            payload={"by_run": row.id, "tool": spec.compensate},
        ),
        at=now,
    )
    return row
