"""Every form of the pages: a redirect, carried out once, and what was written stays.

The forms come from the table of routes; a new one fails here until it is listed.
"""

from datetime import timedelta
from secrets import token_urlsafe

import pytest
from fastapi import FastAPI
from httpx2 import Response
from pydantic import SecretStr
from sqlmodel import SQLModel, col, select

from keyturn.approvals.auth.permissions import ROUTES
from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db import request_keys
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import IdempotencyRow, TokenRow
from tests.approvals.pages.conftest import Doors
from tests.approvals.pages.form_preparation import TOKEN, WHY, Desk, Fields
from tests.approvals.pages.form_table import FORMS, Form

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
    repaired = await _send(desk, form, fields, key)

    assert 400 <= refused.status_code < 500, refused.text
    written = next(
        value for value in (form.wrong or {}).values() if value == WHY or "://" in value
    )
    assert str(written) in refused.text
    assert _without_drafts(same) == _without_drafts(before)
    assert repaired.status_code == 303, repaired.text


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
        patched.setattr(request_keys, "save", _dies)
        with pytest.raises(Killed):
            await agent.post(path, text=WHY, form_key=key)
    before = await _all_rows(store)
    async with store.write() as session:
        for row in (await session.execute(select(IdempotencyRow))).scalars():
            row.created_at -= timedelta(minutes=2)

    again = await agent.post(path, text=WHY, form_key=key)

    assert again.status_code == 409
    assert "its response was lost" in again.text
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
