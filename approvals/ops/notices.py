"""Notices: a person's choice of mails, webhooks, and dead letters."""

import json
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Form, Path
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import TypeAdapter

from keyturn.approvals.auth.visitor import require
from keyturn.approvals.notify import hooks
from keyturn.approvals.notify.contents import WORDS
from keyturn.approvals.notify.errors import BadAddress
from keyturn.approvals.view.wording import sentence
from keyturn.approvals.web import routing, shown_once
from keyturn.approvals.web.page import Page, PageDep
from keyturn.approvals.web.page_links import cut, turning
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.notice import KINDS, NoticeKind
from keyturn.orchestrator.rules.text import json_object
from keyturn.orchestrator.store.db import form_results
from keyturn.orchestrator.store.notices import queue, webhooks
from keyturn.orchestrator.store.notices.errors import NotDead
from keyturn.orchestrator.store.notices.webhooks import NewWebhook
from keyturn.orchestrator.store.people import accounts

router = routing.of_pages()

Retrier = Annotated[Person, Depends(require("notices.manage"))]
Reader = Annotated[Person, Depends(require("account.own"))]
Manager = Annotated[Person, Depends(require("webhooks.manage"))]
# Ids of rows have at most 18 digits here, which every database holds.
NoticeId = Annotated[int, Path(ge=1, lt=10**18)]
Kinds = Annotated[list[NoticeKind], Form(default_factory=list)]
NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
PAGE = 50
# Kinds of form results that the page shows.
SHOWN = "a webhook's secret"
TRIAL = "a webhook's test"
TRIALS = TypeAdapter(hooks.Trial)


@dataclass(frozen=True)
class _Result:
    """The result of one of the page's forms; a secret or a test with its webhook."""

    problem: str = ""
    status: int = 200
    secret: tuple[str, str] | None = None
    tried: tuple[str, hooks.Trial] | None = None
    is_removed: bool = False


@router.get("/notices", dependencies=[Depends(require("account.own"))])
async def show(
    page: PageDep,
    done: Literal["", "removed"] = "",
    secret: str = "",
    tried: str = "",
) -> HTMLResponse:
    """Show the reader's mail settings and, if permitted, webhooks and dead letters."""
    plain = await shown_once.read(page, secret, kind=SHOWN)
    shown = await _show(
        page,
        _Result(
            secret=None if plain is None else _named(plain),
            tried=await _trial(page, tried) if tried else None,
            is_removed=done == "removed",
        ),
    )
    shown_once.forget(page, shown)
    return shown


@router.post("/notices/mail")
async def choose(page: PageDep, reader: Reader, kinds: Kinds) -> Response:
    """Set the kinds of events that the reader is mailed about."""
    await queue.choose_mail(page.parts.store, reader.id, kinds)
    return _back()


@router.post("/notices/mail/usual")
async def choose_usual(page: PageDep, reader: Reader) -> Response:
    """Reset the reader's mail settings to the default."""
    await queue.choose_mail(page.parts.store, reader.id, None)
    return _back()


@router.post("/notices/retry")
async def retry_all(page: PageDep, retrier: Retrier) -> Response:
    """Send all dead letters again."""
    await queue.retry(page.parts.store, None, tenant=retrier.tenant)
    return _back()


@router.post("/notices/{notice}/retry")
async def retry(page: PageDep, retrier: Retrier, notice: NoticeId) -> Response:
    """Send one dead letter again."""
    try:
        await queue.retry(page.parts.store, notice, tenant=retrier.tenant)
    except NotDead as error:
        return await _show(page, _Result(problem=str(error), status=409))
    return _back()


@router.post("/webhooks")
async def add(
    page: PageDep,
    manager: Manager,
    kinds: Kinds,
    url: Annotated[str, Form(max_length=2_000)] = "",
    with_arguments: Annotated[bool, Form()] = False,  # noqa: FBT002 a form's box
) -> Response:
    """Add a webhook, and redirect to the page that shows its secret once."""
    new = NewWebhook(
        url=url.strip(),
        events=tuple(kinds),
        tenant=manager.tenant,
        with_arguments=with_arguments,
    )
    try:
        row, secret = await hooks.add(
            page.parts.settings, page.parts.store, new, by=manager.id
        )
    except (BadAddress, hooks.NoSecretKey) as error:
        return await _show(page, _Result(problem=sentence(error), status=422))
    return await _to_secret(page, row.id, secret)


@router.post("/webhooks/{webhook}/rotate")
async def rotate(page: PageDep, manager: Manager, webhook: str) -> Response:
    """Rotate a webhook's secret, and redirect to the page that shows it once."""
    parts = page.parts
    row, secret = await hooks.rotate(
        parts.settings, parts.store, webhook, tenant=manager.tenant, by=manager.id
    )
    return await _to_secret(page, row.id, secret)


@router.post("/webhooks/{webhook}/test")
async def try_out(page: PageDep, manager: Manager, webhook: str) -> Response:
    """Post a notice of the kind `webhook.test`, and redirect to its result."""
    parts = page.parts
    came = await hooks.attempt(
        parts.settings, parts.store, webhook, tenant=manager.tenant
    )
    result = await form_results.save(
        parts.store,
        person=manager.id,
        kind=TRIAL,
        result={"webhook": webhook, "came": TRIALS.dump_python(came, mode="json")},
    )
    return RedirectResponse(f"/notices?tried={result}", status_code=303)


@router.post("/webhooks/{webhook}/enable")
async def enable(page: PageDep, manager: Manager, webhook: str) -> Response:
    """Enable a disabled webhook."""
    await webhooks.enable(
        page.parts.store, webhook, tenant=manager.tenant, by=manager.id
    )
    return _back()


@router.post("/webhooks/{webhook}/remove")
async def remove(
    page: PageDep,
    manager: Manager,
    webhook: str,
    sure: Annotated[Literal["yes"], Form()],
) -> Response:
    """Remove a webhook."""
    del sure
    await webhooks.remove(
        page.parts.store, webhook, tenant=manager.tenant, by=manager.id
    )
    return RedirectResponse("/notices?done=removed", status_code=303)


async def _show(page: Page, result: _Result) -> HTMLResponse:
    person, asked = page.visitor.person, page.request.query_params
    tenant = person.tenant
    cursor = asked.get("before", "")
    before = int(cursor) if NUMBER.fullmatch(cursor) else None
    async with page.parts.store.read() as session:
        chosen, is_chosen = await queue.mailed_about(session, person.id)
        listed, dead = [], []
        if page.may("notices.manage"):
            listed = await webhooks.listing(session, tenant=tenant)
            dead = await queue.listing(
                session, "dead", tenant=tenant, limit=PAGE + 1, before=before
            )
        dead, last = cut(dead, PAGE)
        names = await accounts.names(session, {row.target for row in dead})
    return await page.show(
        "ops/notices.html",
        status=result.status,
        kinds=[(kind, _words(kind), kind in chosen) for kind in KINDS],
        is_chosen=is_chosen,
        webhooks=listed,
        dead=dead,
        pages=turning(asked, last.id if last else None, name="before"),
        names=names,
        problem_words=result.problem,
        secret=result.secret,
        tried=result.tried,
        is_removed=result.is_removed,
    )


async def _to_secret(page: Page, webhook: str, secret: str) -> Response:
    text = json.dumps([webhook, secret])
    return await shown_once.redirect(page, "/notices?secret=", kind=SHOWN, secret=text)


def _named(plain: str) -> tuple[str, str]:
    """Return the webhook's id and secret that were sealed together.

    Both are empty if the secret was shown before.
    """
    webhook, secret = json.loads(plain or '["", ""]')
    return webhook, secret


async def _trial(page: Page, result: str) -> tuple[str, hooks.Trial]:
    person, store = page.visitor.person, page.parts.store
    found = await form_results.find(store, person=person.id, kind=TRIAL, result=result)
    kept = json_object.of(found)
    return str(kept["webhook"]), TRIALS.validate_python(kept["came"])


def _words(kind: NoticeKind) -> str:
    noun = kind.partition(".")[0]
    return f"{'An' if noun[0] in 'aei' else 'A'} {noun} {WORDS[kind]}"


def _back() -> RedirectResponse:
    return RedirectResponse("/notices", status_code=303)
