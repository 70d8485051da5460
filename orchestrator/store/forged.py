"""Signs that somebody else than Keyturn writes into Temporal: told to people, once a run."""

from orchestrator.store import incidents, runs
from orchestrator.store.engine import Store
from orchestrator.store.incidents import NewIncident


async def tell(store: Store, run: str, words: str) -> None:
    """Open the critical incident of a run whose execution was meddled with."""
    async with store.read() as session:
        row = await runs.get(session, run)
    found = NewIncident(
        severity="critical",
        title=f"Something else than Keyturn wrote into Temporal for run {run}",
        source=f"run {run} was meddled with",
        detail={
            "run": run,
            "words": f"{words[:1].upper()}{words[1:]}. Nothing was done because of it; the "
            "run goes on from the record. Find out who reaches Temporal's port, or works "
            "on its task queues, and change KEYTURN_PAYLOAD_KEYS where a process of ours "
            "may have been broken into.",
        },
        tenant=row.tenant,
    )
    await incidents.open_once(store, found, by=incidents.SYSTEM)


async def tell_elsewhere(store: Store, run: str, queue: str) -> None:
    """Open the one incident of executions that stand on another task queue."""
    found = NewIncident(
        severity="high",
        title="Executions of runs stand on another task queue",
        source="executions on another task queue",
        detail={
            "run": run,
            "words": f"The first that was found is that of run {run}; ours are carried out "
            f"on {queue!r}. Each was ended and begun again there, from the record. Where "
            "somebody changed KEYTURN_TASK_QUEUE, give all processes the same. Where "
            "nobody did, somebody else than Keyturn writes into Temporal: find out who "
            "reaches its port.",
        },
    )
    await incidents.open_once(store, found, by=incidents.SYSTEM)
