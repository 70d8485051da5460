"""`Idempotency-Key`: a repeated request gets the first response."""

import hashlib
from typing import Annotated

import structlog
from fastapi import Depends, Header, Request, Response

from keyturn.approvals.auth.visitor import CurrentPerson
from keyturn.approvals.web.dependencies import StoreDep
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.store.db import request_keys
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.request_keys import Acting, Claim, Kept

log = structlog.get_logger()

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,200}$",
        description="A key that you choose: a repeated request with it acts only once",
    ),
]
REPLAYED = "Idempotency-Replayed"


class Replay(Exception):
    """The request is a repetition; this is the first response."""

    def __init__(self, kept: Kept) -> None:
        """Take the stored response."""
        super().__init__(kept.status)
        self.kept = kept


async def claim(
    request: Request, store: StoreDep, person: CurrentPerson, own_key: Key = None
) -> None:
    """Claim the key for this request, or raise `Replay` with the first response."""
    await _claim(request, store, person, own_key, acts_once=True)


async def claim_naturally(
    request: Request, store: StoreDep, person: CurrentPerson, own_key: Key = None
) -> None:
    """Claim the key for an idempotent request."""
    await _claim(request, store, person, own_key, acts_once=False)


async def _claim(
    request: Request,
    store: Store,
    person: Person,
    own_key: str | None,
    *,
    acts_once: bool,
) -> None:
    if own_key is None:
        return
    asked = await _digest(request, person)
    found = await request_keys.claim(
        store, person=person.id, key=own_key, request=asked
    )
    if isinstance(found, Kept):
        raise Replay(found)
    _acting(request).claimed(store, found, acts_once=acts_once)
    request.state.claimed = (store, found)


async def save(request: Request, response: Response) -> None:
    """Store the answer to a claimed request."""
    found = _claimed(request)
    if found is None:
        return
    store, held = found
    kept = Kept(status=response.status_code, body=bytes(response.body).decode())
    try:
        await request_keys.save(store, held, answer=kept)
    except StoreUnavailable as error:
        # The request itself is committed; only a repetition has to wait.
        log.warning("idempotency.not_kept", key=held.key, error=str(error))


async def drop(request: Request, because: Exception) -> None:
    """Release the key of a request that changed nothing."""
    found = _claimed(request)
    if found is None:
        return
    store, held = found
    try:
        await request_keys.drop(store, held, because=because)
    except StoreUnavailable as error:
        # The claim soon counts as abandoned.
        log.warning("idempotency.not_dropped", key=held.key, error=str(error))


def _acting(request: Request) -> Acting:
    return request.state.acting


def _claimed(request: Request) -> tuple[Store, Claim] | None:
    return getattr(request.state, "claimed", None)


async def _digest(request: Request, person: Person) -> str:
    # A person who has changed tenant does not get an answer given in the old one;
    # nor does a service's token that is bound to others than the first one was.
    whose = person.tenant if person.tenants is None else [person.tenant, person.tenants]
    asked = f"{request.method} {request.url.path}?{request.url.query} {whose}\n"
    return hashlib.sha256(asked.encode() + await request.body()).hexdigest()


ONCE = [Depends(claim)]
NATURALLY_ONCE = [Depends(claim_naturally)]
