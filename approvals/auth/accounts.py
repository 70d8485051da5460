"""Accounts with passwords: opened, given a new password, signed in."""

from approvals.auth import passwords
from approvals.errors import WrongPassword
from orchestrator.errors import InvalidValue
from orchestrator.store import people
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


async def authenticate(store: Store, *, email: str, password: str) -> PersonRow:
    """Return whose address and password these are, or raise `WrongPassword`."""
    usable = len(password) <= LONGEST_PASSWORD and "\x00" not in email
    async with store.read() as session:
        row = await people.by_email(session, email) if usable else None
    kept = row.password_hash if row and row.disabled_at is None else None
    right = await passwords.is_right(password if usable else "", kept)
    if row is None or not right or row.kind != "person":
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
