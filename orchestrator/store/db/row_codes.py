"""Codes of rows that give authority, from a key that no worker and no database has.

An attacker who can only write into the database creates an account, a session, a token
or a proposal that opens nothing: its message authentication code (HMAC-SHA256) is
missing or another's. The code cannot reveal an older row that was put back unchanged;
the audit log can.
"""

import hashlib
import hmac
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import event, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, UOWTransaction

from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.db import vouched_rows
from keyturn.orchestrator.store.db.errors import CannotVouch, ForgedRow
from keyturn.orchestrator.store.db.vouched_rows import Row
from keyturn.orchestrator.store.tables import (
    PersonRow,
    ProposalRow,
    SessionRow,
    TokenRow,
)

# In a session's `info`: the voucher of this process, if it may vouch.
VOUCHER = "voucher"

# In a session's `info` while an upgrade vouches for rows of a version without codes.
FIRST = "first"

# The columns of a row that give authority, or name its owner. Columns that change at
# each request (such as the last sight of a person) are left out, and so are those that
# are only shown.
COVERED: Mapping[type[Row], tuple[str, ...]] = {
    PersonRow: (
        "id",
        "name",
        "email",
        "kind",
        "role",
        "tenant",
        "password_hash",
        "oidc_issuer",
        "oidc_subject",
        "approves_from",
        "created_at",
        "disabled_at",
    ),
    SessionRow: (
        "id",
        "person",
        "hash",
        "old_hash",
        "csrf",
        "method",
        "created_at",
        "ends_at",
    ),
    TokenRow: (
        "id",
        "person",
        "hash",
        "scopes",
        "tenants",
        "parent",
        "created_at",
        "ends_at",
        "revoked_at",
    ),
    ProposalRow: (
        "id",
        "kind",
        "target",
        "tenant",
        "secret",
        "status",
        "proposed_by",
        "created_at",
        "ends_at",
    ),
}


class Voucher:
    """Vouches for rows with one key, and recognises codes of an earlier one."""

    def __init__(self, key: str, *, before: str | None = None) -> None:
        """Take `KEYTURN_SECRET_KEY`, and during its rotation the one `before`."""
        self._keys = [_derived(one) for one in (key, before) if one]

    def code(self, row: Row, **instead: Any) -> str:  # noqa: ANN401 columns of the row
        """Return the code of a row as it is, or as it is about to be."""
        return _code(self._keys[0], row, instead)

    def is_genuine(self, row: Row, **instead: Any) -> bool:  # noqa: ANN401 as above
        """Tell whether a process with this key wrote the row as it is (or was)."""
        shown = instead.pop("mac", row.mac)
        if shown is None:
            return False
        codes = (_code(key, row, instead) for key in self._keys)
        return any(hmac.compare_digest(shown, one) for one in codes)


def is_genuine(session: AsyncSession, *rows: Row) -> bool:
    """Tell whether all of these rows are ours; without the key they count as ours.

    Workers have no key: an effect worker relies on signatures, not on these rows.
    """
    voucher: Voucher | None = session.info.get(VOUCHER)
    return voucher is None or all(voucher.is_genuine(row) for row in rows)


def check(session: AsyncSession, *rows: Row) -> None:
    """Raise `ForgedRow` for the first of these rows that is not ours."""
    for row in rows:
        if not is_genuine(session, row):
            raise ForgedRow(row)


@contextmanager
def for_the_first_time(session: AsyncSession) -> Generator[None]:
    """Allow rows without a code to be vouched for in this block."""
    session.info[FIRST] = True
    try:
        yield
    finally:
        del session.info[FIRST]


def changed(session: AsyncSession, row: Row, **values: Any) -> dict[str, Any]:  # noqa: ANN401 columns of the row
    """Return these values with the code that the row will have with them.

    For statements that change a row in place; rows of a session are vouched for when
    they are flushed.
    """
    return {**values, "mac": _voucher(session.info).code(row, **values)}


def _voucher(info: Mapping[Any, Any]) -> Voucher:
    found: Voucher | None = info.get(VOUCHER)
    if found is None:
        raise CannotVouch(
            "This process may not write accounts, sessions, tokens or proposals: it has "
            "no KEYTURN_SECRET_KEY to sign them with. Set the same key as the web server's."
        )
    return found


@event.listens_for(Session, "before_flush")
def _vouch(session: Session, _: UOWTransaction, __: object) -> None:
    for row in [*session.new, *session.dirty]:
        if isinstance(row, Row) and _changes(row):
            voucher = _voucher(session.info)
            # Otherwise a change of the other columns would vouch for a forged row.
            is_known = inspect(row).pending or FIRST in session.info
            if is_known or voucher.is_genuine(row, **_before(row)):
                row.mac = voucher.code(row)
            elif not _takes_away(row):
                raise ForgedRow(row)


def _changes(row: Row) -> bool:
    attributes = inspect(row).attrs
    covered = (*COVERED[type(row)], "mac")
    return inspect(row).pending or any(
        attributes[name].history.has_changes() for name in covered
    )


def _takes_away(row: Row) -> bool:
    """Tell whether this closes the row: closing is never refused, nor vouched for."""
    closed = "disabled_at" if isinstance(row, PersonRow) else "revoked_at"
    return closed in _before(row) and getattr(row, closed) is not None


def _before(row: Row) -> dict[str, Any]:
    """Return the previous values of the columns that this session has changed."""
    attributes, found = inspect(row).attrs, dict[str, Any]()
    for name in (*COVERED[type(row)], "mac"):
        history = attributes[name].history
        if history.has_changes():
            found[name] = next(iter(history.deleted), None)
    return found


def _derived(key: str) -> bytes:
    return hmac.digest(key.encode(), b"keyturn rows", hashlib.sha256)


def _code(key: bytes, row: Row, instead: Mapping[str, Any]) -> str:
    values = {
        name: _plain(instead[name] if name in instead else getattr(row, name))
        for name in COVERED[type(row)]
    }
    said = canonical.encode([vouched_rows.table_of(row), values])
    return hmac.digest(key, said, hashlib.sha256).hex()


def _plain(value: Any) -> JsonValue:  # noqa: ANN401 what a column holds
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return value
