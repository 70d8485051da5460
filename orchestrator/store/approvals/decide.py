"""Deciding an approval, in one transaction (P8, P9)."""

from datetime import timedelta

from keyturn.orchestrator.rules.authority.binding import (
    Binding,
    Signer,
)
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.approvals import decision, edit, siblings
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.approvals.errors import (
    DraftOpen,
    WaitsForOthers,
)
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.errors import ForgedRow
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.ledger import keys
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    DraftRow,
    RunRow,
)


async def decide(  # noqa: PLR0913 one option besides what a decision is
    store: Store,
    signer: Signer,
    person: Person,
    approval: str,
    answer: Answer,
    *,
    may_undo: bool = True,
    heeds_draft: bool = False,
) -> ApprovalRow:
    """Commit a decision and its consequences; return the approval as it is afterwards.

    Without `may_undo` the decision takes effect at once, whichever undo window the tool
    declares. A page `heeds_draft`: on it, a person's own unfinished edit prevents them
    from approving the unedited arguments.

    Raises `NotFound`, `MayNotDecide`, `AlreadyDecided`, `Claimed`, `StaleBinding`,
    `DraftOpen`, `WaitsForOthers`, `NoMoreRounds`, `InvalidValue` (an edit that does not
    fit the tool's schema) or `EditRefused`; nothing is changed then.
    """
    async with store.write() as session:
        row, run, call = await approval_lookup.lock(
            session, approval, tenant=person.tenant
        )
        now = await session.read_clock()
        if may_undo:
            row.undo_until = now + await _undo_window(session, run, row.tool)
        given = await approval_lookup.decisions(session, row.id)
        await _check_siblings(session, row, run, answer)
        decision.check(row, run, person, answer, given, now=now)
        if answer.decision == "approve":
            await _check_shown(session, row, run, call)
        if heeds_draft:
            await _check_draft(session, row, person, answer)
        if answer.arguments is not None and answer.decision == "approve":
            return await edit.Edit(session, signer, person).commit(
                row, run, call, answer
            )
        decision.sign(session, signer, person, run, row, answer, effective=row.binding)
        people = [person.id, *(one.person for one in given)]
        await decision.conclude(session, row, run, answer, people)
        return row


async def _check_shown(
    session: Tx, row: ApprovalRow, run: RunRow, call: CallRow
) -> None:
    """Raise `ForgedRow` if what is shown is not what is bound, or not the call's.

    A worker drafts all of it: a compromised worker could show one thing and have
    another one signed.
    """
    release = await releases.load(session, run.release)
    bound = Binding(
        run=row.run,
        call=keys.effect_key(call),
        tool=row.tool,
        arguments=canonical.parse(row.arguments),
        contract=row.release,
        policy=release.policy_hash(),
        preview=canonical.parse(row.preview or "null"),
    )
    # The call learns later of a subject that only the live release names.
    of_row = (row.tool, row.arguments, row.revision, row.subject or call.subject)
    of_call = (call.tool, keys.effective(call), call.revision, call.subject)
    whose = (row.tenant, row.workflow, row.customer, row.release)
    of_run = (run.tenant, run.workflow, run.customer, run.release)
    if row.binding != bound.digest() or of_row != of_call or whose != of_run:
        raise ForgedRow(row)


async def _check_draft(
    session: Tx, row: ApprovalRow, person: Person, answer: Answer
) -> None:
    if answer.decision != "approve" or answer.arguments is not None:
        return
    draft = await session.get(DraftRow, (row.id, person.id))
    if draft is not None and draft.used_at is None:
        raise DraftOpen(row, saved_at=draft.saved_at)


async def _check_siblings(
    session: Tx, row: ApprovalRow, run: RunRow, answer: Answer
) -> None:
    """Raise `WaitsForOthers` for a yes to a message about actions not done yet."""
    if row.status == "waiting" and answer.decision == "approve":
        release = await releases.load(session, run.release)
        others = await siblings.waits_for(session, row, release)
        raise WaitsForOthers(row, others)


async def _undo_window(session: Tx, run: RunRow, tool: str) -> timedelta:
    release = await releases.load(session, run.release)
    return release.tool(tool).undo
