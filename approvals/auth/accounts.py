"""Accounts with passwords: opened, given a new password, signed in."""

from approvals.auth import passwords
from approvals.errors import WrongPassword
from orchestrator.errors import InvalidValue
from orchestrator.store import access, people
from orchestrator.store.approvals import Person
from orchestrator.store.engine import Store
from orchestrator.store.people import NewPerson
from orchestrator.store.tables import PersonRow

LONGEST_PASSWORD = 1_000


async def add(
    store: Store, new: NewPerson, *, password: str | None, by: str = "system"
) -> PersonRow:
    """Open an account; without a password it is used through its tokens alone."""
    hashed = await _hashed(password) if password is not None else None
    return await people.add(store, new, password_hash=hashed, by=by)


async def set_password(store: Store, person: str, password: str, *, by: str) -> None:
    """Give an account a new password; whoever is signed in as it is signed out."""
    hashed = await _hashed(password)
    await people.set_password(store, person, password_hash=hashed, by=by)


async def change_own_password(
    store: Store, person: str, *, old: str, new: str, session_id: str
) -> None:
    """Give somebody the password they chose; every other session of theirs ends.

    Raises `WrongPassword` where `old` is not the present one.
    """
    async with store.read() as session:
        row = await people.get(session, person)
    if not await passwords.is_right(old[:LONGEST_PASSWORD], row.password_hash):
        raise WrongPassword("The present password is another one; nothing was changed.")
    hashed = await _hashed(new)
    await people.set_password(
        store, person, password_hash=hashed, by=person, keep=session_id
    )


async def reset_password(
    store: Store, person: str, password: str | None, *, by: Person
) -> PersonRow:
    """Give somebody else a new password; without one they sign in through OIDC alone."""
    hashed = await _hashed(password) if password is not None else None
    return await access.reset_password(
        store, person, password_hash=hashed, by=by.id, tenant=by.tenant
    )


async def of_address(store: Store, email: str) -> PersonRow | None:
    """Return the account of an address as it was typed."""
    if "\x00" in email:
        return None
    async with store.read() as session:
        return await people.by_email(session, email)


async def authenticate(
    store: Store, row: PersonRow | None, *, password: str, address: str
) -> PersonRow:
    """Return the account where this is its password, or raise `WrongPassword`.

    Without an account the work is the same, so that the time taken tells nothing.
    """
    usable = len(password) <= LONGEST_PASSWORD
    kept = row.password_hash if row and row.disabled_at is None else None
    right = await passwords.is_right(password if usable else "", kept)
    if row is None or not right or row.kind != "person":
        await people.record_failed_sign_in(store, row, address=address)
        raise WrongPassword(
            "This address and password do not belong together, or the account is "
            "closed. Check both and try again."
        )
    return row


async def _hashed(password: str) -> str:
    if not passwords.SHORTEST <= len(password) <= LONGEST_PASSWORD:
        raise InvalidValue(
            f"password: it has {len(password)} characters; use {passwords.SHORTEST} "
            f"to {LONGEST_PASSWORD}"
        )
    return await passwords.hash_password(password)
