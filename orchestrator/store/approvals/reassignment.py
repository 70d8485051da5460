"""Reassignment: a lead moves an item to another person, or its assignee has left.

If the rule assigns, nobody names the decider: a lead has the system draw again, once
per item, and may then no longer decide it. Earlier assignees are not drawn again.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlmodel import col, or_, select

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import KeyturnError, NotFound, StoreUnavailable
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.approvals import assignment, decision, eligibility
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals.assignment import Assigner
from keyturn.orchestrator.store.approvals.errors import MayNotAssign, NobodyElse
from keyturn.orchestrator.store.db import open_rows
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import (
    TO_ASSIGN,
    ApprovalRow,
    AuditRow,
    DecisionRow,
    PersonRow,
    RunRow,
)

# A person with more items than this is reassigned in several calls.
MOST = 200


async def reassign(
    store: Store, person: Person, approval: str, *, to: str | None, reason: str
) -> ApprovalRow:
    """Assign an item to `to`, an id or address; None returns it to its queue.

    If the rule assigns, `to` must be None: the system draws another person. Any claim
    on the item ends. Raises `NotFound`, `AlreadyDecided`, `MayNotAssign` or
    `NobodyElse`.
    """
    async with store.write() as session:
        found = await _Reassigning.load(session, person, approval)
        if eligibility.is_assigned(found.row) and to is not None:
            raise MayNotAssign(
                f"{approval} is assigned by the system, so that nobody chooses who "
                "decides it. Leave out the assignee, and the system picks another person."
            )
        return await found.give(to, reason)


async def reassign_each(
    store: Store, person: Person, items: Sequence[str], *, to: str | None, reason: str
) -> list[tuple[str, ApprovalRow | KeyturnError]]:
    """Reassign many items, each separately; return the result of each."""
    found: list[tuple[str, ApprovalRow | KeyturnError]] = []
    for one in items:
        try:
            row = await reassign(store, person, one, to=to, reason=reason)
        except StoreUnavailable:
            raise
        except KeyturnError as error:
            found.append((one, error))
        else:
            found.append((one, row))
    return found


async def move_all(
    store: Store, person: Person, leaver: str, *, to: str | None, reason: str
) -> list[tuple[str, ApprovalRow | KeyturnError]]:
    """Move all that `leaver` claimed or was assigned to `to`; return each one's result.

    Without `to`, or if the rule assigns, an item returns to the queue or is drawn
    again. Raises `NotFound` if there is no such person.
    """
    async with store.read() as session:
        leaving = await _find(session, leaver, tenant=person.tenant)
        items = await held_by(session, leaving.id, tenant=person.tenant)
        if to is not None:
            await _find(session, to, tenant=person.tenant)

    async def moved(approval: str) -> ApprovalRow | KeyturnError:
        try:
            async with store.write() as session:
                found = await _Reassigning.load(session, person, approval)
                if leaving.id in (found.row.claimed_by, found.row.assigned_to):
                    await found.give(to, reason)
                return found.row
        except StoreUnavailable:
            raise
        except KeyturnError as error:
            return error

    return [(one, await moved(one)) for one in items]


async def held_by(session: Tx, person: str, *, tenant: str | None = None) -> list[str]:
    """Return the ids of pending approvals that this person claimed or was assigned."""
    query = (
        select(ApprovalRow.id)
        .where(
            open_rows.approvals(),
            or_(
                col(ApprovalRow.claimed_by) == person,
                col(ApprovalRow.assigned_to) == person,
            ),
        )
        .order_by(col(ApprovalRow.id))
        .limit(MOST)
    )
    if tenant is not None:
        query = query.where(col(ApprovalRow.tenant) == tenant)
    return list((await session.execute(query)).scalars())


async def release_all(store: Store, person: str, *, by: str) -> int:
    """Release the items that a person may no longer decide; return how many they held.

    Each item has its own transaction: after a crash, `repair` does the rest.
    """
    done: set[str] = set()
    while True:
        async with store.read() as session:
            items = set(await held_by(session, person)) - done
        if not items:
            return len(done)
        for one in sorted(items):
            await _release(store, one, person, by=by)
        done |= items


class Assigning:
    """Assigns deciders to waiting approvals in batches, and starts over at the end."""

    def __init__(self) -> None:
        """Start with the first approval."""
        self._after = ""

    async def pass_over(self, store: Store) -> int:
        """Assign the next batch of approvals; return how many were assigned.

        An approval that nobody may decide waits until somebody may, and does not delay
        the others.
        """
        query = (
            select(ApprovalRow.id)
            .where(text(TO_ASSIGN), col(ApprovalRow.id) > self._after)
            .order_by(col(ApprovalRow.id))
            .limit(MOST)
        )
        async with store.read() as session:
            items = list((await session.execute(query)).scalars())
        self._after = items[-1] if len(items) == MOST else ""
        return sum([await _repaired(store, one) for one in items])


async def repair(store: Store) -> int:
    """Reassign pending approvals whose assignee is no longer eligible; return how many.

    Also assigns approvals for which nobody was eligible before and somebody is now.
    """
    async with store.read() as session:
        items = await _orphaned(session)
    return sum([await _repaired(store, one) for one in items])


class _Reassigning:
    """One locked item that a lead assigns to another person."""

    def __init__(
        self,
        session: Tx,
        person: Person,
        found: tuple[ApprovalRow, RunRow, Sequence[DecisionRow]],
    ) -> None:
        self._session = session
        self._person = person
        self.row, self._run, self._given = found

    @classmethod
    async def load(cls, session: Tx, person: Person, approval: str) -> "_Reassigning":
        row, run, _ = await approval_lookup.lock(
            session, approval, tenant=person.tenant
        )
        now = await session.read_clock()
        given = await approval_lookup.decisions(session, row.id)
        decision.check_open(row, run, given, now=now)
        found = cls(session, person, (row, run, given))
        found._check_person()
        return found

    async def give(self, to: str | None, reason: str) -> ApprovalRow:
        if eligibility.is_assigned(self.row):
            await self._pick_again(reason)
            return self.row
        target = await self._target(to) if to is not None else None
        assignment.assign(
            self._session, self.row, target, Assigner(self._person.id, reason)
        )
        return self.row

    async def _pick_again(self, reason: str) -> None:
        row, me = self.row, self._person.id
        if any(one.person == me for one in self._given):
            raise MayNotAssign(
                f"You cannot have {row.id} assigned again: you have decided on it, and "
                "you must not choose the second person."
            )
        # A lead who has the item drawn again may not decide it, and may do so only
        # once.
        row.not_by = [*row.not_by, me]
        row.barred = {**(row.barred or {}), me: "picked"}
        but = {one.person for one in self._given} | await _picked(self._session, row)
        left = await assignment.candidates(self._session, row, self._run, but=but)
        if not left:
            raise NobodyElse(
                f"Nobody else may decide {row.id}: it needs the role {row.role}, and "
                "excludes people who started, edited, benefit from or assign it. It was "
                "not reassigned."
            )
        await assignment.pick(
            self._session, row, self._run, but=but, assigner=Assigner(me, reason)
        )

    async def _target(self, to: str) -> PersonRow:
        target = await _find(self._session, to, tenant=self._person.tenant)
        decider = eligibility.person_of(target)
        bar = eligibility.bar(self.row, self._run, decider, now=self._session.now)
        why = bar.of_them if bar is not None else None
        if target.disabled_at is not None:
            why = "has a closed account"
        if any(one.person == target.id for one in self._given):
            why = "has decided on it already"
        if why is not None:
            raise MayNotAssign(
                f"{self.row.id} cannot be assigned to {target.name}, because "
                f"{target.name} {why}. Assign it to somebody else."
            )
        return target

    def _check_person(self) -> None:
        is_lead = APPROVER_RANK.get(self._person.role, 0) >= APPROVER_RANK["lead"]
        why = eligibility.why_conflicted(self.row, self._run, self._person)
        if self._person.kind != "person" or not is_lead:
            why = f"only a lead can, and your role is {self._person.role}"
        if why is not None:
            raise MayNotAssign(f"You cannot assign {self.row.id}: {why}.")


async def _release(store: Store, approval: str, person: str, *, by: str) -> None:
    async with store.write() as session:
        row, run, _ = await approval_lookup.lock(session, approval, tenant=None)
        account = await session.get(PersonRow, person)
        if account is not None and _may_hold(account, row, run):
            return
        if row.claimed_by == person:
            assignment.release_claim(row)
        if row.status != "pending" or row.assigned_to != person:
            return
        await session.read_clock()
        reason = "they can no longer decide"
        if not eligibility.is_assigned(row):
            assignment.assign(session, row, None, Assigner(by, reason))
            return
        # The person who takes the item away may decide nothing that waited for its
        # assignee, and their own earlier yes no longer counts: otherwise they could
        # repeat the draw until they like the result.
        row.not_by = [*row.not_by, by]
        row.barred = {**(row.barred or {}), by: "picked"}
        await _pick_anew(session, row, run, Assigner(by, reason))


async def _repaired(store: Store, approval: str) -> bool:
    """Do `_repair`; returns False if the item's run or call does not exist."""
    try:
        return await _repair(store, approval)
    except NotFound:
        return False


async def _repair(store: Store, approval: str) -> bool:
    async with store.write() as session:
        row, run, _ = await approval_lookup.lock(session, approval, tenant=None)
        await session.read_clock()
        if row.status != "pending" or await _may_decide(session, row, run):
            return False
        if not eligibility.is_assigned(row):
            if row.assigned_to is None:
                return False
            reason = "they can no longer decide it"
            assignment.assign(session, row, None, Assigner("system", reason))
            return True
        given = await approval_lookup.decisions(session, row.id)
        but = {one.person for one in given}
        if not await assignment.candidates(session, row, run, but=but):
            return False
        reason = "picked by the system"
        if row.assigned_to is not None:
            reason = "picked by the system, because the assignee can no longer decide"
        await _pick_anew(session, row, run, Assigner("system", reason))
        return True


async def _pick_anew(
    session: Tx, row: ApprovalRow, run: RunRow, assigner: Assigner
) -> None:
    given = await approval_lookup.decisions(session, row.id)
    but = {one.person for one in given}
    await assignment.pick(session, row, run, but=but, assigner=assigner)


async def _orphaned(session: Tx) -> list[str]:
    """Return pending approvals whose assignee may not decide, or that have none."""
    query = (
        select(ApprovalRow, RunRow)
        .join(RunRow, col(RunRow.id) == col(ApprovalRow.run))
        .where(
            open_rows.approvals(),
            or_(
                col(ApprovalRow.assigned_to).is_not(None),
                col(ApprovalRow.assigns),
            ),
        )
        .order_by(col(ApprovalRow.answer_by))
        .limit(MOST)
    )
    rows = (await session.execute(query)).all()
    return [row.id for row, run in rows if not await _may_decide(session, row, run)]


async def _may_decide(session: Tx, row: ApprovalRow, run: RunRow) -> bool:
    """Tell whether the assignee of the approval may decide it."""
    found = await session.get(PersonRow, row.assigned_to) if row.assigned_to else None
    return found is not None and _may_hold(found, row, run)


def _may_hold(account: PersonRow, row: ApprovalRow, run: RunRow) -> bool:
    """Tell whether this account may still decide the approval that it holds."""
    if account.disabled_at is not None:
        return False
    return eligibility.why_not(row, run, eligibility.person_of(account)) is None


async def _picked(session: Tx, row: ApprovalRow) -> set[str]:
    """Return everybody to whom this item was assigned so far."""
    query = select(AuditRow.payload).where(
        col(AuditRow.run) == row.run,
        col(AuditRow.kind) == "approval.assigned",
        col(AuditRow.subject) == row.id,
    )
    found = {row.assigned_to}
    for written in (await session.execute(query)).scalars():
        payload = canonical.parse(written)
        found.add(str(payload.get("to")) if isinstance(payload, dict) else None)
    return {one for one in found if one is not None}


async def _find(session: Tx, who: str, *, tenant: str | None) -> PersonRow:
    """Return the person with this id or address, or raise `NotFound`."""
    query = select(PersonRow).where(
        or_(col(PersonRow.id) == who, col(PersonRow.email) == who.strip().lower())
    )
    found = (await session.execute(query)).scalars().first()
    if found is None or (tenant is not None and found.tenant not in (None, tenant)):
        raise NotFound(kind="person", name=who)
    return found
