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
        title=f"Something other than Keyturn wrote into Temporal for run {run}",
        source=f"run {run} was meddled with",
        detail={
            "run": run,
            "words": f"{words[:1].upper()}{words[1:]}. Nothing was done because of it; the "
            "run continues from the record. Find out who can reach Temporal's port or "
            "polls its task queues, and change KEYTURN_PAYLOAD_KEYS if one of our "
            "processes may have been compromised.",
        },
        tenant=row.tenant,
    )
    await incidents.open_once(store, found, by=incidents.SYSTEM)


async def tell_elsewhere(store: Store, run: str, queue: str) -> None:
    """Open the one incident of executions that are on another task queue."""
    found = NewIncident(
        severity="high",
        title="Executions of runs are on another task queue",
        source="executions on another task queue",
        detail={
            "run": run,
            "words": f"The first one found is that of run {run}; our task queue is "
            f"{queue!r}. Each execution was ended and started again there, from the "
            "record. If KEYTURN_TASK_QUEUE was changed, set the same value for all "
            "processes. If not, something other than Keyturn writes into Temporal: find "
            "out who can reach its port.",
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
            "words": "Somebody with access to the database, but without "
            "KEYTURN_SECRET_KEY, wrote it. It gives no access. Find out who that is, "
            "change the database's passwords, and run `keyturn audit verify`: it lists "
            "what else was changed. If KEYTURN_SECRET_KEY was changed, put the previous "
            "key into KEYTURN_SECRET_KEY_BEFORE and run `keyturn db upgrade`. If the "
            "account is as it should be, run `keyturn user vouch`.",
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
            "Either something other than Keyturn writes into the database, or the effect "
            "worker's KEYTURN_DECISION_KEY does not match the web server's: run "
            "`keyturn doctor` to compare them.",
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
            "writes into the database; `keyturn release publish` makes this code's own "
            "release live again.",
        },
    )
    await incidents.open_again(session, found, by=incidents.SYSTEM)
