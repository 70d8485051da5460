"""Every form of the pages: a redirect, carried out once, and what was written stays.

The forms come from the table of routes; a new one fails here until it is listed.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from secrets import token_urlsafe

import pytest
from fastapi import FastAPI
from httpx2 import Response
from pydantic import SecretStr
from sqlmodel import SQLModel, col, select

from keyturn.approvals.auth import accounts
from keyturn.approvals.auth.permissions import ROUTES
from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.money.budget import Needs
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db import request_keys
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import bulk
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs.bulk import NewBulk
from keyturn.orchestrator.store.runs.listing import Filter
from keyturn.orchestrator.store.tables import (
    IdempotencyRow,
    ProposalRow,
    SwitchRow,
    TokenRow,
    WebhookRow,
)
from keyturn.orchestrator.store.turns import position
from tests.approvals.notify.receiver import receiving
from tests.approvals.pages.conftest import Doors, Visitor
from tests.approvals.pages.seed import PASSWORD
from tests.approvals.pages.test_notices import dead_letter

# What an open page asks by itself, for a part of it: no form that anybody presses.
PARTS = {
    "POST /inbox/{approval}/keep",
    "POST /inbox/{approval}/opened",
    "POST /inbox/{approval}/draft",
    "POST /ops/impact",
}
# Before anybody is signed in, and after.
DOOR = {"POST /sign-in", "POST /sign-out"}
# Not part of what a form changes: who is here, and the answers that are kept.
ASIDE = {"idempotency", "sessions", "attempts"}
WHY = "Because I looked, and wrote it down."

Fields = dict[str, str | list[str]]
TOKEN: Fields = {"name": "ci", "days": "7", "password": PASSWORD}


@dataclass
class Desk:
    """A day's work, and what a form needs to be there before."""

    doors: Doors
    store: Store
    visitor: Visitor
    made: dict[str, str] = field(default_factory=dict[str, str])

    def id(self, what: str) -> str:
        seed = self.doors.seed
        known = {
            **{f"person {name}": row.id for name, row in seed.people.items()},
            **{f"run {name}": one for name, one in seed.runs.items()},
            **{f"item {name}": one for name, one in seed.approvals.items()},
            "unknown": seed.effects["unknown"],
            "done": f"{seed.runs['lamp']}:1.9.0",
            **self.made,
        }
        return known[what]


Prepare = Callable[[Desk], Awaitable[Fields]]


@dataclass(frozen=True)
class Form:
    """Who sends what where; `wrong` is what is refused, with words that must stay."""

    who: str
    path: str
    fields: Fields = field(default_factory=dict[str, "str | list[str]"])
    before: Prepare | None = None
    wrong: Fields | None = None


PAUSE: Fields = {"verb": "pause", "workflow": "support-ticket", "reason": WHY}


async def _claimed(desk: Desk) -> Fields:
    await desk.visitor.post(f"/inbox/{desk.id('item refund_order')}/claim")
    return {}


async def _bound(desk: Desk) -> Fields:
    return {"binding": await desk.visitor.binding(desk.id("item refund_order"))}


async def _opened(desk: Desk) -> Fields:
    item = desk.id("item refund_order")
    bound = await _bound(desk)
    await desk.visitor.post(f"/inbox/{item}/opened", **bound)
    return {**bound, "item": item}


async def _decided(desk: Desk) -> Fields:
    item = desk.id("item refund_order")
    bound = await _bound(desk)
    await desk.visitor.post(f"/inbox/{item}/decide", decision="approve", **bound)
    return {}


async def _edited(desk: Desk) -> Fields:
    item = desk.id("item refund_order")
    own: Fields = {
        "v/order_id": "O-24680",
        "v/amount": "80.00",
        "c/amount": "USD",
        "v/reason": "The reading lamp arrived with a cracked shade.",
    }
    shown = (await desk.visitor.post(f"/inbox/{item}/draft", **own)).text
    previewed = shown.split('name="previewed" value="', 1)[1].split('"', 1)[0]
    return {**own, **await _bound(desk), "previewed": previewed}


async def _drafted(desk: Desk) -> Fields:
    await _edited(desk)
    return {}


async def _switched(desk: Desk) -> Fields:
    await desk.visitor.post(
        "/ops/switches", tool="refund_order", mode="halt", reason=WHY, sure="yes"
    )
    async with desk.store.read() as session:
        row = (await session.execute(select(SwitchRow))).scalar_one()
    desk.made["switch"] = row.id
    return {}


async def _proposed(desk: Desk) -> Fields:
    await _switched(desk)
    await desk.visitor.post(f"/ops/switches/{desk.id('switch')}/clear", reason=WHY)
    async with desk.store.read() as session:
        row = (await session.execute(select(ProposalRow))).scalar_one()
    desk.made["proposal"] = row.id
    return {}


async def _held_by_its_budget(desk: Desk) -> Fields:
    run = desk.id("run lamp")
    async with desk.store.read() as session:
        turn = (await run_lookup.get(session, run)).turns + 1
    at = await position.load(desk.store, run=run, step=1, turn=turn)
    needs = Needs(scope=f"run {run}", tokens=10**6, microusd=10_000)
    # A call that waits for people keeps the run going; its next turn is what is held.
    assert await position.stop(desk.store, at, hold.by_budget(needs.scope), needs)
    return {"scope": needs.scope}


async def _paused_all(desk: Desk) -> Fields:
    new = NewBulk(
        verb="pause", filter=Filter(workflow="support-ticket"), reason=WHY, by="ops"
    )
    desk.made["bulk"] = (await bulk.begin(desk.store, new)).id
    return {}


async def _hooked(desk: Desk) -> Fields:
    async with receiving() as receiver:
        await desk.visitor.post("/webhooks", url=f"{receiver.url}/hook")
    async with desk.store.read() as session:
        row = (await session.execute(select(WebhookRow))).scalar_one()
    desk.made["webhook"] = row.id
    return {}


async def _incident(desk: Desk) -> Fields:
    answer = await desk.visitor.post(
        "/incidents", severity="high", title="A difference", detail=WHY
    )
    desk.made["incident"] = answer.headers["location"].rsplit("/", 1)[1]
    return {}


async def _token(desk: Desk) -> Fields:
    await desk.visitor.post("/settings/tokens", **TOKEN)
    async with desk.store.read() as session:
        row = (await session.execute(select(TokenRow))).scalar_one()
    desk.made["token"] = row.id
    return {}


async def _service(desk: Desk) -> Fields:
    answer = await desk.visitor.post(
        "/settings/people",
        name="Help desk",
        email="desk@example.com",
        role="developer",
        kind="service",
    )
    desk.made["service"] = answer.headers["location"].rsplit("/", 1)[1]
    return {}


async def _service_token(desk: Desk) -> Fields:
    await _service(desk)
    path = f"/settings/people/{desk.id('service')}/tokens"
    await desk.visitor.post(path, name="t", password=PASSWORD)
    async with desk.store.read() as session:
        row = (await session.execute(select(TokenRow))).scalar_one()
    desk.made["token"] = row.id
    return {}


async def _held(desk: Desk) -> Fields:
    agent = await desk.doors.visit("agent")
    await agent.post(f"/inbox/{desk.id('item refund_order')}/claim")
    return {"to": desk.id("person other")}


async def _given(desk: Desk) -> Fields:
    return {"to": desk.id("person agent")}


async def _second_session(desk: Desk) -> Fields:
    await desk.doors.visit("agent")
    page = (await desk.visitor.get("/settings")).text
    desk.made["session"] = page.split("/settings/sessions/", 1)[1].split("/", 1)[0]
    return {}


async def _second_admin(desk: Desk) -> Fields:
    new = NewPerson(name="Mia", email="mia@example.com", role="admin")
    row = await accounts.add(desk.store, new, password=PASSWORD)
    await person_accounts.waive_first_day(desk.store, row.id, by="test")
    return {}


async def _dead_letter(desk: Desk) -> Fields:
    desk.made["notice"] = str(await dead_letter(desk.store))
    return {}


async def _can_be_taken_back(desk: Desk) -> Fields:
    """Let a release go live whose refund names what takes it back."""
    async with desk.store.read() as session:
        _, live = await releases.live(session, "support-ticket")
    tools = tuple(
        one.model_copy(update={"compensate": one.name})
        if one.name == "refund_order"
        else one
        for one in live.tools
    )
    fresh = live.model_copy(update={"tools": tools})
    await releases.publish(
        desk.store, fresh, code_version="2", signer=Signer(new_key())
    )
    return {}


async def _once(desk: Desk) -> Fields:
    del desk
    return {"once": token_urlsafe(12)}


ITEM = "/inbox/<item refund_order>"
EFFECT = "/effects/<unknown>"
DONE = "/effects/<done>"
OTHER = "/settings/people/<person other>"
MESSAGE: Fields = {
    "workflow": "support-ticket",
    "v/customer_id": "c-1",
    "v/customer_email": "c-1@example.org",
    "v/subject": "Hello",
    "v/message": "Where is it?",
}
FORMS: dict[str, Form] = {
    "POST /inbox/{approval}/claim": Form("agent", f"{ITEM}/claim"),
    "POST /inbox/{approval}/unclaim": Form("agent", f"{ITEM}/unclaim", before=_claimed),
    "POST /inbox/{approval}/assign": Form(
        "lead", f"{ITEM}/assign", {"reason": WHY}, _given, {"to": "p", "reason": WHY}
    ),
    "POST /inbox/{approval}/extend": Form(
        "lead",
        f"{ITEM}/extend",
        {"minutes": "30", "reason": WHY},
        wrong={"minutes": "x", "reason": WHY},
    ),
    "POST /inbox/{approval}/decide": Form(
        "agent",
        f"{ITEM}/decide",
        {"decision": "reject", "reason": WHY},
        _bound,
        {"decision": "reject", "reason": WHY, "binding": "0" * 64},
    ),
    "POST /inbox/{approval}/edit": Form("agent", f"{ITEM}/edit", before=_edited),
    "POST /inbox/{approval}/discard": Form("agent", f"{ITEM}/discard", before=_drafted),
    "POST /inbox/{approval}/undo": Form("agent", f"{ITEM}/undo", before=_decided),
    "POST /inbox/several/decide": Form(
        "agent",
        "/inbox/several/decide",
        {"decision": "approve"},
        _opened,
        {"decision": "reject", "item": "x", "binding": "y", "reason": WHY},
    ),
    "POST /inbox/several/undo": Form(
        "agent", "/inbox/several/undo", {"item": "<item refund_order>"}, _decided
    ),
    "POST /handoffs/{run}/notes": Form(
        "agent",
        "/handoffs/<run handed_off>/notes",
        {"kind": "note", "text": WHY},
        wrong={"kind": "x", "text": WHY},
    ),
    "POST /runs/new": Form(
        "agent",
        "/runs/new",
        MESSAGE,
        _once,
        {"workflow": "support-ticket", "once": "x", "v/message": WHY},
    ),
    "POST /runs/{run}/hold": Form(
        "operator",
        "/runs/<run lamp>/hold",
        {"control": "pause", "reason": WHY},
        wrong={"control": "x", "reason": WHY},
    ),
    "POST /runs/{run}/notes": Form("agent", "/runs/<run lamp>/notes", {"text": WHY}),
    "POST /ops/switches": Form(
        "operator",
        "/ops/switches",
        {"tool": "refund_order", "mode": "halt", "reason": WHY, "sure": "yes"},
        wrong={"tool": "refund_order", "mode": "halt", "reason": WHY},
    ),
    "POST /ops/switches/{switch}/clear": Form(
        "operator", "/ops/switches/<switch>/clear", {"reason": WHY}, _switched
    ),
    "POST /ops/proposals/{proposal}": Form(
        "operator",
        "/ops/proposals/<proposal>",
        {"answer": "withdraw"},
        _proposed,
        {"answer": "x", "reason": WHY},
    ),
    "POST /ops/budgets/raise": Form(
        "operator",
        "/ops/budgets/raise",
        {"tokens": "1500000", "reason": WHY},
        _held_by_its_budget,
        {"tokens": "many", "reason": WHY},
    ),
    "POST /ops/bulks": Form(
        "operator", "/ops/bulks", PAUSE, wrong={**PAUSE, "verb": "x"}
    ),
    "POST /ops/bulks/{bulk}/stop": Form(
        "operator", "/ops/bulks/<bulk>/stop", before=_paused_all
    ),
    "POST /effects/{key}/record": Form(
        "lead",
        f"{EFFECT}/record",
        {"happened": "yes", "evidence": WHY},
        wrong={"happened": "x", "evidence": WHY},
    ),
    "POST /effects/{key}/reopen": Form(
        "lead",
        f"{DONE}/reopen",
        {"how": "failed", "words": WHY},
        wrong={"how": "x", "words": WHY},
    ),
    "POST /effects/{key}/lookup": Form("lead", f"{EFFECT}/lookup"),
    "POST /effects/{key}/compensate": Form(
        "lead", f"{DONE}/compensate", {"reason": WHY}, _can_be_taken_back
    ),
    "POST /notices/{notice}/retry": Form(
        "operator", "/notices/<notice>/retry", before=_dead_letter
    ),
    "POST /notices/mail": Form("agent", "/notices/mail", {"kinds": "approval.asked"}),
    "POST /notices/mail/usual": Form("agent", "/notices/mail/usual"),
    "POST /notices/retry": Form("admin", "/notices/retry"),
    "POST /webhooks": Form(
        "admin",
        "/webhooks",
        {"url": "http://127.0.0.1:9/hook"},
        wrong={"url": "ftp://x.example/hook"},
    ),
    "POST /webhooks/{webhook}/rotate": Form(
        "admin", "/webhooks/<webhook>/rotate", before=_hooked
    ),
    "POST /webhooks/{webhook}/test": Form(
        "admin", "/webhooks/<webhook>/test", before=_hooked
    ),
    "POST /webhooks/{webhook}/enable": Form(
        "admin", "/webhooks/<webhook>/enable", before=_hooked
    ),
    "POST /webhooks/{webhook}/remove": Form(
        "admin", "/webhooks/<webhook>/remove", {"sure": "yes"}, _hooked
    ),
    "POST /incidents": Form(
        "operator",
        "/incidents",
        {"severity": "high", "title": "A difference", "detail": WHY},
        wrong={"severity": "high", "title": " ", "detail": WHY},
    ),
    "POST /incidents/match": Form("operator", "/incidents/match"),
    "POST /incidents/{incident}/close": Form(
        "admin", "/incidents/<incident>/close", {"reason": WHY}, _incident
    ),
    "POST /audit/verify": Form("auditor", "/audit/verify"),
    "POST /settings/password": Form(
        "agent", "/settings/password", {"old": PASSWORD, "new": "another good one"}
    ),
    "POST /settings/sessions/end": Form("agent", "/settings/sessions/end"),
    "POST /settings/sessions/{session}/end": Form(
        "agent", "/settings/sessions/<session>/end", before=_second_session
    ),
    "POST /settings/confirm": Form("agent", "/settings/confirm"),
    "POST /settings/tokens": Form(
        "agent",
        "/settings/tokens",
        TOKEN,
        wrong={"name": WHY, "days": "0"},
    ),
    "POST /settings/tokens/{token}/revoke": Form(
        "agent", "/settings/tokens/<token>/revoke", before=_token
    ),
    "POST /settings/people": Form(
        "admin",
        "/settings/people",
        {"name": "Eve", "email": "eve@example.com", "role": "auditor"},
        wrong={"name": "Eve", "email": "eve", "role": "auditor", "reason": WHY},
    ),
    "POST /settings/tenants": Form(
        "admin",
        "/settings/tenants",
        {"name": "acme", "reason": WHY},
        _second_admin,
        {"name": "a b", "reason": WHY},
    ),
    "POST /settings/people/{person}/profile": Form(
        "admin",
        f"{OTHER}/profile",
        {"name": "Otto"},
        wrong={"name": WHY, "teams": "x" * 70},
    ),
    "POST /settings/people/{person}/access": Form(
        "admin",
        f"{OTHER}/access",
        {"role": "developer", "reason": WHY, "sure": "yes"},
        wrong={"role": "developer", "reason": WHY},
    ),
    "POST /settings/people/{person}/password": Form(
        "admin", f"{OTHER}/password", {"sure": "yes"}
    ),
    "POST /settings/people/{person}/open": Form(
        "admin", f"{OTHER}/open", {"wanted": "closed", "sure": "yes"}
    ),
    "POST /settings/people/{person}/items": Form(
        "admin",
        "/settings/people/<person agent>/items",
        {"reason": WHY},
        _held,
        {"to": "nobody", "reason": WHY},
    ),
    "POST /settings/people/{person}/tokens": Form(
        "admin",
        "/settings/people/<service>/tokens",
        {"name": "t", "password": PASSWORD},
        _service,
    ),
    "POST /settings/people/{person}/tokens/{token}/revoke": Form(
        "admin",
        "/settings/people/<service>/tokens/<token>/revoke",
        before=_service_token,
    ),
}


@pytest.fixture
def app(store: Store) -> FastAPI:
    settings = Settings(secret_key=SecretStr("k" * 32), webhook_private=True)
    return create_app(settings, store, None, Signer(new_key()))


def test_every_form_of_the_pages_is_listed() -> None:
    posts = {name for name in ROUTES if name.startswith("POST /")}
    pages = {name for name in posts if not name.startswith("POST /api/")}

    assert pages - PARTS - DOOR == FORMS.keys()


@pytest.mark.parametrize("name", FORMS, ids=str)
async def test_a_form_is_carried_out_once(
    name: str, doors: Doors, store: Store
) -> None:
    form = FORMS[name]
    desk, fields = await _ready(form, doors, store)
    key = token_urlsafe(16)

    first = await _send(desk, form, fields, key)
    after = await _all_rows(store)
    again = await _send(desk, form, fields, key)

    assert first.status_code == 303, first.text
    assert again.status_code == 303, again.text
    assert again.headers["location"] == first.headers["location"]
    assert await _all_rows(store) == after


@pytest.mark.parametrize(
    "name", [name for name, form in FORMS.items() if form.wrong], ids=str
)
async def test_what_was_written_in_a_refused_form_stays(
    name: str, doors: Doors, store: Store
) -> None:
    form = FORMS[name]
    desk, fields = await _ready(form, doors, store)
    key = token_urlsafe(16)
    before = await _all_rows(store)

    refused = await _send(desk, form, form.wrong or {}, key)
    same = await _all_rows(store)
    mended = await _send(desk, form, fields, key)

    assert 400 <= refused.status_code < 500, refused.text
    written = next(
        value for value in (form.wrong or {}).values() if value == WHY or "://" in value
    )
    assert str(written) in refused.text
    assert _without_drafts(same) == _without_drafts(before)
    assert mended.status_code == 303, mended.text


async def test_a_secret_is_shown_once_and_stands_in_no_address(
    doors: Doors, store: Store
) -> None:
    agent, other = await doors.visit("agent"), await doors.visit("other")
    key = token_urlsafe(16)
    made = {**TOKEN, "form_key": key}

    first = await agent.post("/settings/tokens", **made)
    # A double click: the first answer never reached the page.
    agent.client.cookies.delete("keyturn-once")
    again = await agent.post("/settings/tokens", **made)
    kept = repr(await _all_rows(store, aside=set()))
    led = again.headers["location"]
    strangers = (await other.get(led)).text
    shown = (await agent.get(led)).text
    reloaded = (await agent.get(led)).text
    repeated = await agent.post("/settings/tokens", **made)
    seen_again = (await agent.get(repeated.headers["location"])).text

    assert first.headers["location"] == led
    assert shown.count("kt_") == 1
    secret = "kt_" + shown.split("kt_", 1)[1].split("<", 1)[0]
    assert secret not in kept
    assert secret not in led
    for page in (strangers, reloaded, seen_again):
        assert secret not in page
        assert "shown once" in page
    async with store.read() as session:
        assert len((await session.execute(select(TokenRow))).all()) == 1


async def test_a_key_that_came_with_other_words_changes_nothing(
    doors: Doors, store: Store
) -> None:
    agent = await doors.visit("agent")
    path = f"/runs/{doors.seed.runs['lamp']}/notes"
    key = token_urlsafe(16)
    await agent.post(path, text="The first.", form_key=key)
    before = await _all_rows(store)

    other = await agent.post(path, text=WHY, form_key=key)

    assert other.status_code in (409, 422)
    assert WHY in other.text
    assert await _all_rows(store) == before


class Killed(BaseException):
    """The process ends here: nothing of it runs any more."""


def _dies(*_: object, **__: object) -> None:
    raise Killed


async def test_a_form_whose_answer_was_lost_is_carried_out_once(
    doors: Doors, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await doors.visit("agent")
    path, key = f"/runs/{doors.seed.runs['lamp']}/notes", token_urlsafe(16)
    with monkeypatch.context() as patched:
        patched.setattr(request_keys, "keep", _dies)
        with pytest.raises(Killed):
            await agent.post(path, text=WHY, form_key=key)
    before = await _all_rows(store)
    async with store.write() as session:
        for row in (await session.execute(select(IdempotencyRow))).scalars():
            row.created_at -= timedelta(minutes=2)

    again = await agent.post(path, text=WHY, form_key=key)

    assert again.status_code == 409
    assert "its answer was lost" in again.text
    assert await _all_rows(store) == before


async def test_a_key_belongs_to_the_person_it_was_given_to(doors: Doors) -> None:
    agent, other = await doors.visit("agent"), await doors.visit("other")
    path = f"/runs/{doors.seed.runs['lamp']}/notes"
    key = token_urlsafe(16)

    await agent.post(path, text="Mine.", form_key=key)
    own = await agent.get(f"/sent?form={key}")
    strangers = await other.get(f"/sent?form={key}")

    assert own.json() == {"led": path.removesuffix("/notes")}
    assert strangers.json() == {"led": None}


async def test_what_is_kept_of_a_form_lets_nobody_guess_what_it_held(
    doors: Doors, store: Store
) -> None:
    """A form holds passwords; a digest of it alone is one to try them on."""
    agent = await doors.visit("agent")
    path = f"/runs/{doors.seed.runs['lamp']}/notes"

    for _ in range(2):
        await agent.post(path, text="The same.", form_key=token_urlsafe(16))

    async with store.read() as session:
        found = select(IdempotencyRow.request).where(
            col(IdempotencyRow.key).startswith("form:")
        )
        kept = list((await session.execute(found)).scalars())
    assert len(kept) == len(set(kept)) == 2


async def _ready(form: Form, doors: Doors, store: Store) -> tuple[Desk, Fields]:
    desk = Desk(doors, store, await doors.visit(form.who))
    prepared = await form.before(desk) if form.before else {}
    return desk, {**form.fields, **prepared}


async def _send(desk: Desk, form: Form, fields: Fields, key: str) -> Response:
    def filled(text: str) -> str:
        while "<" in text and ">" in text:
            start, _, rest = text.partition("<")
            name, _, end = rest.partition(">")
            text = f"{start}{desk.id(name)}{end}"
        return text

    sent = {
        name: filled(value) if isinstance(value, str) else value
        for name, value in fields.items()
    }
    return await desk.visitor.post(filled(form.path), **sent, form_key=key)


async def _all_rows(store: Store, *, aside: set[str] = ASIDE) -> dict[str, list[str]]:
    async with store.read() as session:
        return {
            table.name: sorted(
                repr(row) for row in await session.execute(table.select())
            )
            for table in SQLModel.metadata.sorted_tables
            if table.name not in aside
        }


def _without_drafts(rows: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: kept for name, kept in rows.items() if name != "drafts"}
