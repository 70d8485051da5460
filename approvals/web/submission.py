"""Idempotent forms: a repetition shows the result of the first submission.

Every form carries a key of its own. The first request with a key acts; another one,
from a double click, a reload, a second tab or after a lost response, is redirected to
the same page. A refused form releases its key, so that it can be corrected and sent
again.
"""

import asyncio
import hashlib
import hmac
import json
import re
import secrets
from typing import Final

import structlog
from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from keyturn.approvals.auth.gate import gate
from keyturn.approvals.auth.visitor import CSRF_FIELD, Visitor
from keyturn.approvals.web.dependencies import parts_of
from keyturn.approvals.web.form_request import FormRequest, Handler
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.store.db import request_keys
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.errors import AnswerLost, KeyInUse
from keyturn.orchestrator.store.db.request_keys import Claim, Kept
from keyturn.orchestrator.store.db.sealed_text import Sealed

log = structlog.get_logger()

# Not `form`: that would shadow the property by which scripts find a form.
FIELD: Final = "form_key"
SEE_OTHER: Final = 303
# How long a second click waits for the first one to finish.
PATIENCE_S: Final = 10.0
_LOOK_AGAIN_S = 0.1
_KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def new_key() -> str:
    """Return a new key for one form on one page."""
    return secrets.token_urlsafe(16)


class PageRoute(APIRoute):
    """A route of pages that carries out each form once."""

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler, made idempotent by the form's key."""
        handle = super().get_route_handler()
        if "POST" not in (self.methods or ()):
            return handle

        async def once(plain: Request) -> Response:
            request = FormRequest(plain.scope, plain.receive)
            if not _is_form(request):
                return await handle(request)
            # Before the fields are validated, as on every route.
            await gate(request, parts_of(request))
            sent = await _sent(request)
            key = dict(sent).get(FIELD, "")
            visitor: Visitor | None = getattr(request.state, "visitor", None)
            if visitor is None:
                return await handle(request)
            if _KEY.fullmatch(key) is None:
                async with request_keys.acting():
                    return await handle(request)
            own = _Submission(parts_of(request).store, visitor.person.id, key)
            return await _answered(request, handle, own, sent)

        return once


async def outcome(store: Store, *, person: str, key: str) -> str | None:
    """Return the page that the form led to, or None if it was not carried out."""
    if _KEY.fullmatch(key) is None:
        return None
    kept = await request_keys.answer(store, person=person, key=_row_key(key))
    found = _Submission(store, person, key).opened(kept)
    return found.headers["location"] if found else None


async def _answered(
    request: Request, handle: Handler, own: "_Submission", sent: list[tuple[str, str]]
) -> Response:
    found = await own.claim(_digest(request, sent, own.key))
    if not isinstance(found, Claim):
        return found
    try:
        async with request_keys.acting() as acting:
            acting.claimed(own.store, found)
            response = await handle(request)
    except Exception as error:
        await own.drop(found, because=error)
        raise
    if response.status_code == SEE_OTHER:
        await own.save(found, response)
    else:
        await own.drop(found)
    return response


class _Submission:
    """One form of one person, by its key; the record has only the key's digest."""

    def __init__(self, store: Store, person: str, key: str) -> None:
        self.key = key
        self.store = store
        self._person = person
        self._row_key = _row_key(key)
        # The response may carry a secret's key, so it is sealed with the form's key.
        self._sealed = Sealed(key)

    async def claim(self, request: str) -> Response | Claim:
        """Return the first request's response, or claim the key; wait while it acts."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            try:
                found = await request_keys.claim(
                    self.store,
                    person=self._person,
                    key=self._row_key,
                    request=request,
                )
            except KeyInUse:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(_LOOK_AGAIN_S)
            else:
                return found if isinstance(found, Claim) else self._again(found)

    def _again(self, kept: Kept) -> Response:
        led = self.opened(kept)
        if led is None:
            raise AnswerLost(
                "This form was already carried out, and its result page can no longer "
                "be read. Open the page again and check what was done."
            )
        return led

    async def save(self, claim: Claim, response: Response) -> None:
        """Store the redirect of the first submission, with its cookies."""
        cookies = response.headers.getlist("set-cookie")
        answer = json.dumps([response.headers["location"], cookies])
        kept = Kept(status=SEE_OTHER, body=self._sealed.seal(answer))
        try:
            await request_keys.save(self.store, claim, answer=kept)
        except StoreUnavailable as error:
            # The form itself is committed; only a repetition has to wait.
            log.warning("form.not_kept", error=str(error))

    async def drop(self, claim: Claim, because: Exception | None = None) -> None:
        """Release the key if nothing was changed: the form may be sent again."""
        try:
            await request_keys.drop(self.store, claim, because=because)
        except StoreUnavailable as error:
            log.warning("form.not_dropped", error=str(error))

    def opened(self, kept: Kept | None) -> RedirectResponse | None:
        """Return a stored response for a repetition."""
        plain = self._sealed.open(kept.body) if kept else None
        if plain is None:
            return None
        location, cookies = json.loads(plain)
        response = RedirectResponse(location, status_code=SEE_OTHER)
        for cookie in cookies:
            response.headers.append("set-cookie", cookie)
        return response


async def _sent(request: Request) -> list[tuple[str, str]]:
    """Return the fields, and store them for the error page."""
    form = await request.form()
    sent = [
        (name, value) for name, value in form.multi_items() if isinstance(value, str)
    ]
    request.state.sent = sent
    return sent


def _is_form(request: Request) -> bool:
    """Tell whether a person sent a form; live parts of a page ask through htmx."""
    kind = request.headers.get("content-type", "")
    return kind.startswith(_FORMS) and request.headers.get("hx-request") != "true"


def _digest(request: Request, sent: list[tuple[str, str]], key: str) -> str:
    """Return a keyed digest of the request: forms contain passwords.

    A reader of the record has only the key's digest, so cannot test passwords with it.
    """
    asked = [pair for pair in sent if pair[0] not in (FIELD, CSRF_FIELD)]
    text = json.dumps([request.url.path, request.url.query, asked])
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def _row_key(key: str) -> str:
    return f"form:{hashlib.sha256(key.encode()).hexdigest()}"
