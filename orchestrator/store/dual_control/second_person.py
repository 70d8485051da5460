"""Who counts as one of the two people of a loosening (P11)."""

from collections.abc import Collection
from datetime import datetime

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.db import row_codes
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.dual_control.errors import NeedsSecondPerson
from keyturn.orchestrator.store.tables import PersonRow, ProposalRow


async def check_second(
    session: Tx, row: ProposalRow, person: Person, roles: Collection[str]
) -> None:
    """Refuse the proposer, and a person who may not confirm or became such a one."""
    check_person(person)
    if person.id == row.proposed_by:
        raise NeedsSecondPerson(
            "You proposed this, and loosening takes two people: another person has to confirm "
            "it. All your tokens and sessions count as you."
        )
    row_codes.check(session, row)
    found = await session.get(PersonRow, person.id, with_for_update={"read": True})
    if found is None or not _may(found, row, roles):
        raise NeedsSecondPerson(
            "Your access was changed: you may no longer confirm this."
        )
    check_not_new(found.approves_from, now=session.now)


async def unfit(session: Tx, row: ProposalRow, roles: Collection[str]) -> str | None:
    """Return the reason why the proposer could not propose it now, or None."""
    proposer = await session.get(
        PersonRow, row.proposed_by, with_for_update={"read": True}
    )
    if proposer is not None:
        row_codes.check(session, proposer)
    if proposer is None or proposer.disabled_at is not None:
        return f"the account of {row.proposed_name}, who proposed it, is closed."
    if not _may(proposer, row, roles):
        return f"{row.proposed_name}, who proposed it, may no longer do this."
    return None


def check_not_new(approves_from: datetime | None, *, now: datetime) -> None:
    """Refuse a person just opened, raised, or given a password by somebody else."""
    if approves_from is not None and approves_from > now:
        raise NeedsSecondPerson(
            "A new person cannot propose or confirm anything for a day: you can from "
            f"{approves_from:%Y-%m-%d %H:%M %Z}."
        )


def check_person(person: Person) -> None:
    """Refuse a service."""
    if person.kind != "person":
        raise NeedsSecondPerson(
            f"{person.name} is a service, and a service cannot decide. Sign in as a person."
        )


def _may(account: PersonRow, row: ProposalRow, roles: Collection[str]) -> bool:
    return (
        account.kind == "person"
        and account.disabled_at is None
        and account.role in roles
        and account.tenant in (None, row.tenant)
    )
