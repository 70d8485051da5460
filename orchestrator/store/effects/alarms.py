"""Alarms: an attempt's outcome that operators have to repair or look into.

A refused login holds every mail: one incident reports it while it is open, however many
effects wait for it.
"""

from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.incidents.incidents import NewIncident
from keyturn.orchestrator.store.ledger.effects import Outcome
from keyturn.orchestrator.store.tables import EffectRow


async def sound(session: Tx, effect: EffectRow, outcome: Outcome) -> None:
    """Open an incident in this transaction, unless one of this alarm is open."""
    begins = f"connector:{outcome.alarm}:"
    if await incidents.is_any_open(session, begins):
        return
    source = f"{begins}{effect.key}.{effect.attempt}"
    new = NewIncident(
        severity="high",
        title=f"Nothing can be sent: {outcome.alarm}",
        source=source,
        detail={
            "words": f"{outcome.words} Nothing was sent; it is retried for an hour. "
            "Fix this error: all effects that need it wait for it.",
            "effect": effect.key,
            "run": effect.run,
        },
    )
    await incidents.add(session, new, by="system")


async def acted_after_all(session: Tx, effect: EffectRow) -> None:
    """Open an incident in this transaction: an effect settled as not done was done.

    A receipt for it arrived. Its subject and its money were free meanwhile.
    """
    new = NewIncident(
        severity="critical",
        title=f"Recorded as not done, but was done: {effect.tool}",
        source=f"receipt after failed:{effect.key}.{effect.attempt}",
        detail={
            "words": "A look-up or a person recorded that it never happened; then its "
            "receipt arrived. It now counts as done. Check whether "
            "it was done a second time since, and what the customer was told.",
            "effect": effect.key,
            "run": effect.run,
        },
        tenant=effect.tenant,
    )
    await incidents.add(session, new, by="system")
