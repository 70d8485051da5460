"""A message about an action, shown on the page that follows it."""

from dataclasses import dataclass, replace

from keyturn.approvals.api.approval_body import summary_of
from keyturn.approvals.view.wording import people
from keyturn.approvals.web.page import Page
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.status import UNDOABLE
from keyturn.orchestrator.store.approvals import eligibility, history
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import ApprovalRow, DecisionRow


@dataclass(frozen=True)
class Flash:
    """A message about an action: its headline and its consequence."""

    title: str
    words: str = ""
    undo: str | None = None


async def of(page: Page, approval: str | None) -> Flash | None:
    """Return what this person decided about an approval, read from the record.

    The URL names only the approval, so no link can put words on the page.
    """
    if not approval:
        return None
    person = page.visitor.person
    async with page.parts.store.read() as session:
        try:
            row = await approval_lookup.get(session, approval, tenant=person.tenant)
        except NotFound:
            return None
        given = await approval_lookup.decisions(session, approval)
        what = summary_of(row, await releases.load(session, row.release))
        now = await session.read_clock()
        latest = (await history.of(session, row))[-1].approval
        anew = summary_of(latest, await releases.load(session, latest.release))
    mine = next((one for one in given if one.person == person.id), None)
    if mine is None:
        is_own = row.closed_because == f"replaced by an edit of {person.name}"
        return _edited(anew, latest, person.id) if is_own else None
    if row.closed_because == f"undone by {person.name}":
        return Flash(
            "Undone", f"{what} Nothing was sent; it waits for a decision again."
        )
    left = row.needed - len(eligibility.who_agreed(row, given))
    said = _words(what, row, mine, left=left)
    may_undo = row.status in UNDOABLE and row.consumed_by is None
    if not may_undo or row.undo_until is None or now >= row.undo_until:
        return said
    wait = f"{said.words} It can be undone for a few seconds."
    return replace(said, words=wait, undo=row.id)


def _words(what: str, row: ApprovalRow, mine: DecisionRow, *, left: int) -> Flash:
    if row.status == "pending":
        return Flash(
            "Your approval is recorded",
            f"{what} It still needs {people(left, row.role)}.",
        )
    match mine.decision:
        case "approve":
            edits = " with your edits" if mine.arguments else ""
            return Flash(f"Approved{edits}", f"{what} It is carried out next.")
        case "reject":
            return Flash(
                "Rejected", f"{what} Nothing is sent; the model reads your reason."
            )
        case _:
            return Flash("Sent back", f"{what} The model drafts it again.")


def _edited(what: str, row: ApprovalRow, person: str) -> Flash:
    if person in row.not_by:
        who = people(row.needed, row.role)
        why = f"It goes beyond the draft: {who} besides you must approve it."
    else:
        why = f"Your approval is recorded; the rule needs {row.needed - 1} more."
    title = "Your edit waits for another person"
    return Flash(title, f"{what} {why} Nothing is sent before that.")
