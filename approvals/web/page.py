"""Pages: templates, rendered for the signed-in person."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from keyturn.approvals.auth import permissions
from keyturn.approvals.auth.permissions import Action
from keyturn.approvals.auth.visitor import MaybeSignedIn, SignedIn, Visitor
from keyturn.approvals.inbox import handoff_words
from keyturn.approvals.view import amounts, effect_words, facts, wording
from keyturn.approvals.view.form.shape import label
from keyturn.approvals.view.untrusted import (
    compared,
    exact,
    framed,
    oddities,
    shown,
    visible,
    with_framed_quotes,
)
from keyturn.approvals.web import submission
from keyturn.approvals.web.dependencies import Parts, PartsDep
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.incidents import incidents as incident_incidents
from keyturn.orchestrator.store.views import inbox

TEMPLATES = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True)
class Link:
    """An entry of the navigation; `count` is the number of pending things."""

    path: str
    words: str
    count: int = 0
    is_current: bool = False


@dataclass(frozen=True)
class Page:
    """A request for a page by a signed-in person."""

    request: Request
    parts: Parts
    visitor: Visitor

    def may(self, action: Action) -> bool:
        """Tell whether this person's role permits `action`."""
        return permissions.may(self.visitor.person, action)

    def error_of(self, effect: effect_words.Effect) -> str | None:
        """Return an effect's error as this person may read it."""
        return effect_words.error(effect, is_operator=self.may("audit.read"))

    def typed(self, action: str, name: str, default: str = "") -> str:
        """Return a field's text from a form that `action` just refused."""
        return next(iter(self.all_typed(action, name)), default)

    def typed_in(self, action: str, *names: str) -> dict[str, str]:
        """Return several fields' texts from that form, by name."""
        return {name: self.typed(action, name) for name in names}

    def all_typed(self, action: str, name: str) -> list[str]:
        """Return all texts sent under a field's name in that form."""
        if self.request.method != "POST" or self.request.url.path != action:
            return []
        sent: list[tuple[str, str]] = getattr(self.request.state, "sent", [])
        return [value for field, value in sent if field == name]

    async def show(
        self,
        template: str,
        *,
        status: int = 200,
        **context: Any,  # noqa: ANN401 a template takes anything
    ) -> HTMLResponse:
        """Return a whole page."""
        async with self.parts.store.read() as session:
            tenant = self.visitor.person.tenant
            counts = await inbox.counts(session, tenant=tenant)
            opened = await incident_incidents.open_count(session, tenant=tenant)
        menu = _menu(self, counts, incidents=opened)
        body = await self._render(template, menu=menu, **context)
        return HTMLResponse(body, status)

    async def part(
        self,
        template: str,
        *,
        status: int = 200,
        **context: Any,  # noqa: ANN401 as above
    ) -> HTMLResponse:
        """Return a part of a page, for an htmx swap."""
        return HTMLResponse(await self._render(template, **context), status)

    async def _render(self, template: str, **context: Any) -> str:  # noqa: ANN401 as above
        """Render off the event loop: marking untrusted text may take long."""
        return await asyncio.to_thread(
            _environment.get_template(template).render,
            page=self,
            me=self.visitor.person,
            csrf=self.visitor.csrf or "",
            settings=self.parts.settings,
            **context,
        )


def _page(request: Request, parts: PartsDep, visitor: SignedIn) -> Page:
    return Page(request, parts, visitor)


PageDep = Annotated[Page, Depends(_page)]


@dataclass(frozen=True)
class OpenPage:
    """A request for a page that everybody may see."""

    request: Request
    settings: Settings
    is_signed_in: bool

    def show(
        self,
        template: str,
        *,
        status: int = 200,
        **context: Any,  # noqa: ANN401 as above
    ) -> HTMLResponse:
        """Return a page without navigation."""
        body = _environment.get_template(template).render(
            settings=self.settings, **context
        )
        return HTMLResponse(body, status)


def _open_page(request: Request, parts: PartsDep, visitor: MaybeSignedIn) -> OpenPage:
    return OpenPage(request, parts.settings, visitor is not None)


OpenPageDep = Annotated[OpenPage, Depends(_open_page)]


def _menu(
    page: Page, counts: tuple[int, int, int], *, incidents: int
) -> dict[str, Sequence[Link]]:
    waiting, handed, unknown = counts
    here = page.request.url.path

    def link(path: str, words: str, count: int = 0) -> Link:
        return Link(path, words, count, here == path or here.startswith(f"{path}/"))

    work = [link("/inbox", "Inbox", waiting), link("/handoffs", "Hand-offs", handed)]
    if page.may("approvals.decide"):
        work.append(link("/decisions", "My decisions"))
    work.append(link("/runs", "Runs"))
    operate = [
        link("/ops", "Switches and budgets"),
        link("/effects", "Effects", unknown),
        link("/contracts", "Contracts"),
        link("/tools", "Tools"),
    ]
    if page.may("incidents.read"):
        operate.insert(2, link("/incidents", "Incidents", incidents))
    if page.may("notices.manage"):
        operate.append(link("/notices", "Notices"))
    if page.may("audit.read"):
        operate.append(link("/audit", "Audit log"))
    return {"work": work, "operate": operate, "outside": _outside(page.parts.settings)}


def _outside(settings: Settings) -> list[Link]:
    found = (
        (settings.temporal_ui, "Temporal"),
        (settings.mailbox_url, "Mailbox"),
    )
    return [Link(url, words) for url, words in found if url]


_FILTERS: Mapping[str, Any] = {
    "shown": shown,
    "oddities": oddities,
    "told": with_framed_quotes,
    "compared": compared,
    "foreign": framed,
    "visible": visible,
    "exact": exact,
    "when": wording.when,
    "relative": wording.relative,
    "clock": wording.clock,
    "span": wording.span,
    "usd": wording.usd,
    "money": wording.money,
    "amounts": amounts.in_words,
    "counted": amounts.count,
    "people": wording.people,
    "badge": wording.badge,
    "subject": wording.subject,
    "actor": wording.actor,
    "browser": wording.browser,
    "label": label,
    "facts": facts.of,
    "parsed": facts.parsed,
    "handing": handoff_words.reason,
}


def _build() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)
    cast("dict[str, Any]", environment.globals)["form_key"] = submission.new_key
    return environment


_environment = _build()
