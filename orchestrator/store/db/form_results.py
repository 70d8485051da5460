"""Results of submitted forms, kept for the page shown after the redirect.

A result belongs to one person and one kind of page. A secret is sealed with a key that
is not stored here, and is opened once.
"""

import json
import secrets

from pydantic import JsonValue

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.sealed_text import Sealed
from keyturn.orchestrator.store.tables import IdempotencyRow

_OPENED = ""


async def save(store: Store, *, person: str, kind: str, result: JsonValue) -> str:
    """Store a result; return the id under which its page finds it."""
    return await _add(store, person, kind, json.dumps(result))


async def find(store: Store, *, person: str, kind: str, result: str) -> JsonValue:
    """Find a result of this person, or raise `NotFound`."""
    async with store.read() as session:
        row = await session.get(IdempotencyRow, (person, _key(result)))
    if row is None or row.request != kind or row.body is None:
        raise NotFound(kind="result", name=result)
    return json.loads(row.body)


async def seal(store: Store, *, person: str, kind: str, secret: str) -> tuple[str, str]:
    """Store a sealed secret; return its id, and the key that opens it once."""
    opener = Sealed.new_key()
    body = Sealed(opener).seal(secret)
    return await _add(store, person, kind, body), opener


async def open_once(
    store: Store, *, person: str, kind: str, result: str, opener: str
) -> str | None:
    """Return a sealed secret and delete it; None if it is no longer there."""
    async with store.write() as session:
        row = await session.get(
            IdempotencyRow, (person, _key(result)), with_for_update=True
        )
        if row is None or row.request != kind or not row.body:
            return None
        secret = Sealed(opener).open(row.body)
        if secret is not None:
            row.body = _OPENED
        return secret


async def _add(store: Store, person: str, kind: str, body: str) -> str:
    result = secrets.token_urlsafe(12)
    async with store.write() as session:
        session.add(
            IdempotencyRow(
                person=person,
                key=_key(result),
                request=kind,
                status=200,
                body=body,
                created_at=await session.read_clock(),
            )
        )
    return result


def _key(result: str) -> str:
    return f"result:{result[:64]}"
