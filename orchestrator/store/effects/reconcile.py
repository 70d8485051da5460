"""Looking up an unknown effect now, if its tool can.

The run's own loop does it, on the effect worker: here it is only requested, by a signal
to the run.
"""

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.store import outbox
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import locks
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.effects.errors import NoLookUp, NotUnknown
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import EffectRow


async def ask(store: Store, key: str, *, by: str) -> EffectRow:
    """Signal the run to look an unknown effect up.

    Raises `NotUnknown` or `NoLookUp`.
    """
    async with store.write() as session:
        effect = await session.get(EffectRow, key)
        if effect is None:
            raise NotFound(kind="effect", name=key)
        run = await run_lookup.lock(session, effect.run)
        await locks.refresh_effect(session, effect)
        if effect.status != "unknown":
            raise NotUnknown(key, effect.status)
        release = await releases.load(session, run.release)
        if not release.tool(effect.tool).has_reconcile:
            raise NoLookUp(
                f"{effect.tool} declares no `reconcile`, so {key} cannot be looked up. "
                "Find out at the provider, and record it."
            )
        if run.status in ENDED_RUNS:
            raise NoLookUp(
                f"Run {run.id} has ended ({run.status}), so {key} can no longer be "
                "looked up. Find out at the provider, and record it."
            )
        now = await session.read_clock()
        outbox.add(session, "wake", run.id, at=now)
        log.record(
            session,
            log.Entry(
                actor=by,
                kind="effect.lookup_asked",
                tenant=effect.tenant,
                run=effect.run,
                subject=key,
                payload={"tool": effect.tool},
            ),
            at=now,
        )
        return effect
