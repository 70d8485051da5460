"""Signs that something other than Keyturn writes into Temporal, or into the database.

Each opens a critical incident for people, once per run or row.
"""

from contextlib import suppress

from sqlalchemy.exc import IntegrityError

from keyturn.orchestrator.store.db import vouched_rows
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.errors import ForgedRow
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.incidents.incidents import NewIncident
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import ApprovalRow, RunRow


async def tell(store: Store, run: str, words: str) -> None:
    """Open the critical incident of a run with a tampered execution."""
    async with store.read() as session:
        row = await run_lookup.get(session, run)
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
    """Open the one incident of executions that are on another task queue."""
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


async def are_ours(store: Store, *rows: vouched_rows.Row) -> bool:
    """Tell whether all of these rows are ours; open an incident for one that is not."""
    for row in rows:
        if store.voucher is not None and not store.voucher.is_genuine(row):
            await tell_row(store, ForgedRow(row))
            return False
    return True


async def tell_row(store: Store, error: ForgedRow) -> None:
    """Open the critical incident of a row that was not written by Keyturn."""
    found = NewIncident(
        severity="critical",
        title=f"The row {error.id} of {error.table} was not written by Keyturn",
        source=f"forged row {error.id} of {error.table}",
        detail={
            "table": error.table,
            "id": error.id,
            "words": "Whoever wrote it reaches the database and has no "
            "KEYTURN_SECRET_KEY. It opens nothing. Find out who that is, change the "
            "database's passwords, and run `keyturn audit verify`: it lists what else "
            "was changed. Where KEYTURN_SECRET_KEY itself was changed, put the one "
            "before into KEYTURN_SECRET_KEY_BEFORE and run `keyturn db upgrade`. An "
            "account that is as it should be is vouched for by `keyturn user vouch`.",
        },
    )
    # If another process opens the same one first, it is open.
    with suppress(IntegrityError):
        async with store.write() as session:
            await incidents.open_again(session, found, by=incidents.SYSTEM)


async def tell_decision(
    session: Tx, approval: ApprovalRow, run: RunRow, why: str
) -> None:
    """Open the critical incident of a decision that the record does not confirm.

    Called in the transaction that refuses the decision.
    """
    found = NewIncident(
        severity="critical",
        title=f"A decision on {approval.id} is not what was signed",
        source=f"forged decision on {approval.id}",
        detail={
            "run": run.id,
            "approval": approval.id,
            "words": f"{why[:1].upper()}{why[1:]}. Nothing was done because of it. "
            "Somebody else than Keyturn writes into the database, or the effect worker "
            "has another KEYTURN_DECISION_KEY than the web server signs with: `keyturn "
            "doctor` compares them.",
        },
        tenant=run.tenant,
    )
    await incidents.open_again(session, found, by=incidents.SYSTEM)


async def tell_release(session: Tx, workflow: str, why: str) -> None:
    """Open, in a transaction, the critical incident of a release nobody put live."""
    found = NewIncident(
        severity="critical",
        title=f"A release of {workflow} is not what was put live",
        source=f"forged release of {workflow}: {why}"[:200],
        detail={
            "workflow": workflow,
            "words": f"{why[:1].upper()}{why[1:]}. Nothing is done under it. Find out who "
            "writes into the database; `keyturn release publish` puts this code's own "
            "release live again.",
        },
    )
    await incidents.open_again(session, found, by=incidents.SYSTEM)
