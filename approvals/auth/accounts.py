"""Accounts with passwords: opened, given a new password, signed in."""

from keyturn.approvals.auth import passwords
from keyturn.approvals.web.errors import MayNot, WrongPassword
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import InvalidValue
from keyturn.orchestrator.rules.notice import Origin
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.dual_control import break_glass, requests
from keyturn.orchestrator.store.integrity import forgery
from keyturn.orchestrator.store.people import access, accounts, sign_in_throttle
from keyturn.orchestrator.store.people.access import Change
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.people.errors import PasswordChanged
from keyturn.orchestrator.store.tables import PersonRow, ProposalRow

LONGEST_PASSWORD = 1_000
# Wrong present passwords allowed within the window of `attempts`.
GUESSES = 8
# No tenant has an empty name.
NOBODYS = ""
NO_REASON = "No reason was given."
NOT_PRESENT = "The current password is wrong; nothing was changed. Type it again."


async def add(
    store: Store, new: NewPerson, *, password: str | None, by: str = "system"
) -> PersonRow:
    """Open an account; without a password only its tokens can use it."""
    hashed = await _hashed(password) if password is not None else None
    return await accounts.add(store, new, password_hash=hashed, by=by)


async def add_alone(
    store: Store,
    new: NewPerson,
    *,
    password: str | None,
    by: str,
    decides_at_once: bool = False,
) -> tuple[PersonRow, bool]:
    """Open an account without a second person; return whether it opened an incident."""
    hashed = await _hashed(password) if password is not None else None
    return await break_glass.open_account(
        store, new, password_hash=hashed, by=by, decides_at_once=decides_at_once
    )


async def set_password(store: Store, person: str, password: str, *, by: str) -> None:
    """Give an account a new password and end all its sessions."""
    hashed = await _hashed(password)
    await accounts.set_password(store, person, password_hash=hashed, by=by)


def tenant_of_list(manager: Person, wanted: str | None) -> str | None:
    """Return the tenant to list; a tenant's admin manages only that tenant."""
    if manager.tenant is None:
        return wanted
    return manager.tenant if wanted in (None, manager.tenant) else NOBODYS


async def invite(
    store: Store, new: NewPerson, *, by: Person, reason: str | None = None
) -> PersonRow | ProposalRow:
    """Open an account without a password, in a tenant that `by` manages, or ask for it.

    An account that may decide or confirm exists only once another admin confirms.
    """
    if by.tenant is not None and new.tenant is None:
        new = new.model_copy(update={"tenant": by.tenant})
    _refuse_other_tenant(by, new.tenant)
    return await requests.to_invite(store, new, by, reason=reason or NO_REASON)


async def set_access(
    store: Store,
    person: str,
    wanted: Change,
    *,
    by: Person,
    reason: str | None = None,
) -> PersonRow | ProposalRow:
    """Change an account's role and tenant; propose it if that gives more access.

    Raises `OwnAccess`, `LastAdmin` or `NobodyElseConfirms`.
    """
    _refuse_other_tenant(by, wanted.tenant)
    why = reason or NO_REASON
    return await requests.to_grant(store, person, wanted, by, reason=why)


async def close(store: Store, person: str, *, by: Person) -> PersonRow:
    """Close an account, at once."""
    return await access.disable(store, person, by=by.id, managed=by.tenant)


async def reopen(
    store: Store, person: str, *, by: Person, reason: str | None = None
) -> PersonRow | ProposalRow:
    """Ask for a closed account to be opened again; an open one is returned."""
    change = Change(is_open=True)
    why = reason or NO_REASON
    return await requests.to_grant(store, person, change, by, reason=why)


def _refuse_other_tenant(by: Person, tenant: str | None) -> None:
    if by.tenant not in (None, tenant):
        raise MayNot(
            f"You can manage only people of the tenant {by.tenant!r}. Ask an admin of all "
            "tenants."
        )


async def prove_password(store: Store, person: str, password: str) -> PersonRow:
    """Return a signed-in person's account if this is their password.

    Raises `WrongPassword`, or `TooManyAttempts` after eight wrong passwords within
    five minutes, for any purpose: a copied session allows no more guesses than the
    sign-in page.
    """
    own = sign_in_throttle.key("own password", person)
    taken = await sign_in_throttle.take(store, {own: GUESSES})
    async with store.read() as session:
        row = await accounts.get(session, person)
    if not await passwords.is_right(password[:LONGEST_PASSWORD], row.password_hash):
        raise WrongPassword(NOT_PRESENT)
    await sign_in_throttle.forgive(store, taken, own)
    return row


async def change_own_password(  # noqa: PLR0913 both passwords, and where from
    store: Store,
    person: str,
    *,
    old: str,
    new: str,
    session_id: str,
    origin: Origin | None = None,
) -> None:
    """Set the password a person chose; end other sessions and all tokens.

    Raises `WrongPassword` where `old` is not the present one, and `TooManyAttempts`.
    """
    row = await prove_password(store, person, old)
    hashed = await _hashed(new)
    try:
        await accounts.set_password(
            store,
            person,
            password_hash=hashed,
            by=person,
            keep=session_id,
            instead_of=row.password_hash,
            origin=origin,
        )
    except PasswordChanged:
        raise WrongPassword(NOT_PRESENT) from None


async def reset_password(
    store: Store,
    person: str,
    password: str | None,
    *,
    by: Person,
    reason: str | None = None,
) -> PersonRow | ProposalRow:
    """Propose a password for another account; without one, remove it at once.

    The person who chose it could sign in with it, so another one confirms.
    """
    if password is None:
        return await access.remove_password(store, person, by=by.id, managed=by.tenant)
    hashed = await _hashed(password)
    why = reason or NO_REASON
    return await requests.to_reset(store, person, hashed, by, reason=why)


async def of_address(store: Store, email: str) -> PersonRow | None:
    """Return the account of an address, given as typed."""
    if "\x00" in email:
        return None
    async with store.read() as session:
        return await accounts.by_email(session, email)


async def authenticate(
    store: Store, row: PersonRow | None, *, password: str, address: str
) -> PersonRow:
    """Return the account if this is its password, else raise `WrongPassword`.

    Takes the same time without an account, so that timing reveals nothing.
    """
    usable = len(password) <= LONGEST_PASSWORD
    if row is not None and not await forgery.are_ours(store, row):
        row = None
    kept = row.password_hash if row and row.disabled_at is None else None
    right = await passwords.is_right(password if usable else "", kept)
    if row is None or not right or row.kind != "person":
        await accounts.record_failed_sign_in(store, row, address=address)
        raise WrongPassword(
            "The address or the password is wrong, or the account is "
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
