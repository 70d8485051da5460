"""Accounts found by a person's identity at an OpenID provider."""

from sqlmodel import col, select

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.integrity import forgery
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.people.errors import NoAccountFor, Why
from keyturn.orchestrator.store.tables import PersonRow


async def find(
    store: Store, *, issuer: str, subject: str, email: str | None
) -> PersonRow:
    """Return the account of an identity, linked the first time; or `NoAccountFor`.

    The first time it is found by the address, if the provider verified it (else None),
    and only if the account was invited and is not in use yet: an account with a
    password or another identity belongs to a person, and an address alone does not take
    it over.
    """
    async with store.write() as session:
        query = select(PersonRow).where(
            col(PersonRow.oidc_issuer) == issuer, col(PersonRow.oidc_subject) == subject
        )
        row = (await session.execute(query)).scalar_one_or_none()
        if row is None:
            row = await _invited(session, email)
            row.oidc_issuer, row.oidc_subject = issuer, subject
            await session.read_clock()
            accounts.record(session, "person.linked", row, by=row.id, issuer=issuer)
    if row.disabled_at is not None or row.kind != "person":
        raise NoAccountFor("closed", row)
    if not await forgery.are_ours(store, row):
        raise NoAccountFor("closed", row)
    return row


async def _invited(session: Tx, email: str | None) -> PersonRow:
    # Letters of other scripts can fold into ours: `K` (Kelvin) is `k` in lower case.
    if email is None or not email.isascii() or "\x00" in email:
        raise NoAccountFor("unverified")
    query = select(PersonRow).where(col(PersonRow.email) == email.strip().lower())
    row = (await session.execute(query.with_for_update())).scalar_one_or_none()
    if row is None:
        raise NoAccountFor("unknown")
    why = _not_open_to_it(row)
    if why is not None:
        # Its attributes are read after this transaction, which changes nothing.
        session.expunge(row)
        raise NoAccountFor(why, row)
    return row


def _not_open_to_it(row: PersonRow) -> Why | None:
    if row.disabled_at is not None or row.kind != "person":
        return "closed"
    if row.oidc_subject is not None:
        return "taken"
    return "password" if row.password_hash is not None else None
