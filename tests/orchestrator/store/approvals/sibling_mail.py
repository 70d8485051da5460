"""A turn that drafts a refund and a mail about it, and what becomes of each."""

from keyturn.orchestrator.store.effects import resolution
from keyturn.orchestrator.store.effects.late_failure import Later
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.tables import ApprovalRow, CallRow
from tests.orchestrator.store.desk import Desk, mail, refund

MAIL = 1
BOUNCED = Later(
    how="reversed", words="It came back.", by="system", by_name="the statement"
)


async def refunded(desk: Desk, run: str, *, turn: int = 1) -> str:
    """Carry out a refund with a mail of the same turn or the next; return its key."""
    await desk.draft(run, *([refund(), mail(MAIL)] if turn == 1 else [refund()]))
    await desk.decide(run)
    grant = await desk.do(run)
    if turn > 1:
        await desk.draft(run, mail(0), turn=turn)
    return grant.key


async def refund_done(desk: Desk, run: str, *, turn: int = 1, order: str = "o1") -> str:
    """Carry out a refund that is all of its turn; return its key."""
    await desk.draft(run, refund(order=order), turn=turn)
    await desk.decide(run)
    return (await desk.do(run, turn=turn)).key


async def find_out(desk: Desk, key: str, *, stayed: bool) -> None:
    found = Resolution(
        happened=stayed, evidence="Ticket B-7", person="lea", person_name="Lea"
    )
    await resolution.resolve(desk.store, key, found)


async def drafted(desk: Desk) -> str:
    run = await desk.start()
    await desk.draft(run, refund(), mail(MAIL))
    return run


async def mail_of(desk: Desk, run: str) -> ApprovalRow:
    rows = [one for one in await approvals(desk, run) if one.tool == "write_mail"]
    return max(rows, key=lambda one: one.revision)


async def approvals(desk: Desk, run: str) -> list[ApprovalRow]:
    return await desk.rows(ApprovalRow, run=run)


async def is_void(desk: Desk, run: str) -> None:
    """The mail is void before the worker has looked at it; the model is told why."""
    row = await mail_of(desk, run)
    (call,) = await desk.rows(CallRow, run=run, tool="write_mail")
    assert (row.status, call.status) == ("void", "void")
    assert "refund" in (row.closed_because or "")
    assert "Write it again" in (call.result or "")
    assert (await desk.lease(run, index=MAIL)).kind == "void"
