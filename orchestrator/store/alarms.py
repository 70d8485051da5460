"""Telling operators that a connector cannot work until somebody mends it.

A login that is refused holds every mail: one incident says so while it is open, however
many effects wait for it.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from orchestrator.store import incidents
from orchestrator.store.engine import Store
from orchestrator.store.incidents import NewIncident
from orchestrator.store.ledger import Outcome
from orchestrator.store.tables import EffectRow


async def sound(
    session: AsyncSession, store: Store, effect: EffectRow, outcome: Outcome
) -> None:
    """Open an incident in this transaction, where none of this alarm is open."""
    begins = f"connector:{outcome.alarm}:"
    if await incidents.is_any_open(session, begins):
        return
    source = f"{begins}{effect.key}.{effect.attempt}"
    new = NewIncident(
        severity="high",
        title=f"Nothing can be sent: {outcome.alarm}",
        source=source,
        detail={
            "words": f"{outcome.words} Nothing was sent; it is tried again for an hour. "
            "Mend what the words name, for every effect that waits for it.",
            "effect": effect.key,
            "run": effect.run,
        },
    )
    await incidents.add(session, store, new, by="system")
