"""Notices: what one is mailed about, where programs are told, what did not arrive."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Path
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from approvals.auth.visitor import require
from approvals.notify import hooks
from approvals.notify.contents import WORDS
from approvals.notify.errors import BadAddress
from approvals.page import Page, PageDep
from approvals.wording import sentence
from orchestrator.notice import KINDS, NoticeKind
from orchestrator.store import notices, people, webhooks
from orchestrator.store.approvals import Person
from orchestrator.store.notices import NotDead
from orchestrator.store.webhooks import NewWebhook

router = APIRouter()

Reader = Annotated[Person, Depends(require("account.own"))]
Retrier = Annotated[Person, Depends(require("notices.manage"))]
Manager = Annotated[Person, Depends(require("webhooks.manage"))]
# Ids of rows have at most 18 digits here, which every database holds.
NoticeId = Annotated[int, Path(ge=1, lt=10**18)]
Kinds = Annotated[list[NoticeKind], Form(default_factory=list)]
LONGEST_LIST = 50


@router.get("/notices")
async def show(
    page: PageDep, reader: Reader, done: Literal["", "removed"] = ""
) -> HTMLResponse:
    """Show what the reader is mailed about and, to who may see it, the rest."""
    return await _show(page, reader, is_removed=done == "removed")


@router.post("/notices/mail")
async def choose(page: PageDep, reader: Reader, kinds: Kinds) -> Response:
    """Choose what the reader is mailed about."""
    await notices.choose_mail(page.parts.store, reader.id, kinds)
    return _back()


@router.post("/notices/mail/usual")
async def choose_usual(page: PageDep, reader: Reader) -> Response:
    """Let the reader be mailed about what is usual."""
    await notices.choose_mail(page.parts.store, reader.id, None)
    return _back()


@router.post("/notices/retry")
async def retry_all(page: PageDep, retrier: Retrier) -> Response:
    """Send all dead letters again."""
    await notices.retry(page.parts.store, None, tenant=retrier.tenant)
    return _back()


@router.post("/notices/{notice}/retry")
async def retry(page: PageDep, retrier: Retrier, notice: NoticeId) -> Response:
    """Send one dead letter again."""
    try:
        await notices.retry(page.parts.store, notice, tenant=retrier.tenant)
    except NotDead as error:
        return await _show(page, retrier, problem=str(error), status=409)
    return _back()


@router.post("/webhooks")
async def add(
    page: PageDep,
    manager: Manager,
    kinds: Kinds,
    url: Annotated[str, Form(max_length=2_000)] = "",
    with_arguments: Annotated[bool, Form()] = False,  # noqa: FBT002 a form's box
) -> HTMLResponse:
    """Add a webhook and show its secret, this once."""
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
        return await _show(page, manager, problem=sentence(error), status=422)
    return await _show(page, manager, secret=(row.id, secret))


@router.post("/webhooks/{webhook}/rotate")
async def rotate(page: PageDep, manager: Manager, webhook: str) -> HTMLResponse:
    """Give a webhook a new secret and show it, this once."""
    parts = page.parts
    row, secret = await hooks.rotate(
        parts.settings, parts.store, webhook, tenant=manager.tenant, by=manager.id
    )
    return await _show(page, manager, secret=(row.id, secret))


@router.post("/webhooks/{webhook}/test")
async def try_out(page: PageDep, manager: Manager, webhook: str) -> HTMLResponse:
    """Post a notice of the kind `webhook.test` and show what came of it."""
    parts = page.parts
    came = await hooks.attempt(
        parts.settings, parts.store, webhook, tenant=manager.tenant
    )
    return await _show(page, manager, tried=(webhook, came))


@router.post("/webhooks/{webhook}/enable")
async def enable(page: PageDep, manager: Manager, webhook: str) -> Response:
    """Post to a webhook again that was disabled."""
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
    """Remove a webhook: nothing is posted to it any more."""
    del sure
    await webhooks.remove(
        page.parts.store, webhook, tenant=manager.tenant, by=manager.id
    )
    return RedirectResponse("/notices?done=removed", status_code=303)


async def _show(  # noqa: PLR0913 what came of each of its forms
    page: Page,
    person: Person,
    *,
    problem: str = "",
    status: int = 200,
    secret: tuple[str, str] | None = None,
    tried: tuple[str, hooks.Trial] | None = None,
    is_removed: bool = False,
) -> HTMLResponse:
    tenant = person.tenant
    async with page.parts.store.read() as session:
        chosen, is_chosen = await notices.mailed_about(session, person.id)
        listed, dead = [], []
        if page.may("notices.manage"):
            listed = await webhooks.listing(session, tenant=tenant)
            dead = await notices.listing(
                session, "dead", tenant=tenant, limit=LONGEST_LIST
            )
        names = await people.names(session, {row.target for row in dead})
    return await page.show(
        "ops/notices.html",
        status=status,
        kinds=[(kind, _words(kind), kind in chosen) for kind in KINDS],
        is_chosen=is_chosen,
        webhooks=listed,
        dead=dead,
        names=names,
        problem_words=problem,
        secret=secret,
        tried=tried,
        is_removed=is_removed,
    )


def _words(kind: NoticeKind) -> str:
    noun = kind.partition(".")[0]
    return f"{'An' if noun[0] in 'aei' else 'A'} {noun} {WORDS[kind]}"


def _back() -> RedirectResponse:
    return RedirectResponse("/notices", status_code=303)
