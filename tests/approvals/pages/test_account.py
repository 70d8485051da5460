"""One's own settings, and everybody's accounts for an admin."""

import re

import pytest
from httpx2 import Response
from sqlmodel import select

from keyturn.approvals.auth import accounts
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people import sessions, tokens
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.tables import PersonRow, ProposalRow, SessionRow
from tests.approvals.pages.conftest import Doors
from tests.approvals.pages.seed import PASSWORD, Seed

NEW = "another good password"


async def _person(store: Store, email: str) -> PersonRow:
    async with store.read() as session:
        query = select(PersonRow).where(PersonRow.email == email)
        return (await session.execute(query)).scalar_one()


async def test_a_person_sees_and_ends_their_sessions(
    doors: Doors, store: Store, seed: Seed
) -> None:
    here, there = await doors.visit("agent"), await doors.visit("agent")
    page = (await here.get("/settings")).text

    ended = await here.post("/settings/sessions/end")

    assert page.count("Sign out there") == 1
    assert ended.status_code == 303
    assert (await here.get("/settings")).status_code == 200
    assert (await there.get("/settings")).status_code == 303
    assert len(await sessions.listing(store, seed.people["agent"].id)) == 1


async def test_signing_out_everywhere_ends_this_session_too(doors: Doors) -> None:
    here, there = await doors.visit("agent"), await doors.visit("agent")

    await here.post("/sign-out", everywhere="true")

    assert (await here.get("/settings")).status_code == 303
    assert (await there.get("/settings")).status_code == 303


async def test_nobody_ends_anothers_session(
    doors: Doors, store: Store, seed: Seed
) -> None:
    agent, lead = await doors.visit("agent"), await doors.visit("lead")
    [leads] = await sessions.listing(store, seed.people["lead"].id)

    refused = await agent.post(f"/settings/sessions/{leads.id}/end")

    assert refused.status_code == 404
    assert (await lead.get("/settings")).status_code == 200


async def test_a_new_password_keeps_this_session_alone(doors: Doors) -> None:
    here, there = await doors.visit("agent"), await doors.visit("agent")

    wrong = await here.post("/settings/password", old="a guess", new=NEW)
    short = await here.post("/settings/password", old=PASSWORD, new="short")
    done = await here.post("/settings/password", old=PASSWORD, new=NEW)

    assert (wrong.status_code, short.status_code, done.status_code) == (422, 422, 303)
    assert "nothing was changed" in wrong.text
    assert (await here.get("/settings")).status_code == 200
    assert (await there.get("/settings")).status_code == 303


async def test_a_token_of_the_page_does_what_was_ticked(
    doors: Doors, store: Store, seed: Seed
) -> None:
    lead = await doors.visit("lead")
    fields = {"name": "t", "scope": "read", "password": PASSWORD}

    page = (await lead.send("/settings/tokens", **fields)).text
    found = re.search(r"kt_[\w-]{43}", page)
    again = (await lead.get("/settings")).text

    assert found is not None
    assert found[0] not in again
    headers = {"Authorization": f"Bearer {found[0]}"}
    lead.client.cookies.clear()
    me = await lead.client.get("/api/v1/me", headers=headers)
    assert me.json()["may"] == ["read"]
    async with store.read() as session:
        [row] = await tokens.listing(session, seed.people["lead"].id)
    assert row.scopes == ["read"]


async def _second_admin(doors: Doors, store: Store) -> None:
    new = NewPerson(name="Mia", email="mia@example.com", role="admin")
    row = await accounts.add(store, new, password=PASSWORD)
    await person_accounts.waive_first_day(store, row.id, by="test")
    doors.seed.people["mia"] = row


async def _answer(doors: Doors, store: Store, who: str, answer: str) -> Response:
    """Answer the one proposal that waits."""
    async with store.read() as session:
        query = select(ProposalRow).where(ProposalRow.status == "open")
        proposal = (await session.execute(query)).scalar_one()
    visitor = await doors.visit(who)
    return await visitor.post(f"/ops/proposals/{proposal.id}", answer=answer)


async def test_p11_two_admins_invite_and_raise_people(
    doors: Doors, store: Store
) -> None:
    await _second_admin(doors, store)
    admin = await doors.visit("admin")

    invited = await admin.post(
        "/settings/people",
        name="Eve",
        email="eve@example.com",
        role="agent",
        reason="She begins today",
    )
    asked = (await admin.get(invited.headers["location"])).text
    own = await _answer(doors, store, "admin", "confirm")
    async with store.read() as session:
        nobody = await person_accounts.by_email(session, "eve@example.com")
    yes = await _answer(doors, store, "mia", "confirm")
    path = f"/settings/people/{(await _person(store, 'eve@example.com')).id}"
    access = await admin.post(f"{path}/access", role="lead", tenant="acme")
    no = await _answer(doors, store, "mia", "decline")
    less = await admin.post(
        f"{path}/access", role="developer", tenant="acme", sure="yes"
    )
    profile = await admin.post(
        f"{path}/profile", name="Eve E.", teams="returns, vip", languages="de"
    )
    password = await admin.post(f"{path}/password", password=NEW)
    await _answer(doors, store, "mia", "confirm")
    closed = await admin.post(f"{path}/open", wanted="closed", sure="yes")
    page = (await admin.get(path)).text

    done = (invited, yes, access, no, less, profile, password, closed)
    assert [one.status_code for one in done] == [303] * len(done)
    assert "Proposed" in asked
    assert "Open an account for Eve" in asked
    assert "She begins today" in asked
    assert (own.status_code, nobody) == (403, None)
    row = await _person(store, "eve@example.com")
    assert (row.name, row.role, row.tenant) == ("Eve E.", "developer", "acme")
    assert (row.teams, row.languages) == (["returns", "vip"], ["de"])
    assert row.disabled_at is not None
    assert row.password_hash is not None
    assert "This account is closed" in page
    assert "Eve E." in (await admin.get("/settings/people")).text


async def test_p11_a_lone_admin_is_told_what_to_do_on_the_page(doors: Doors) -> None:
    admin = await doors.visit("admin")

    alone = await admin.post(
        "/settings/people", name="Eve", email="eve@example.com", role="admin"
    )

    assert alone.status_code == 422
    assert "keyturn user add" in alone.text


async def test_what_cannot_be_changed_is_said_on_the_page(
    doors: Doors, seed: Seed
) -> None:
    admin = await doors.visit("admin")
    own = f"/settings/people/{seed.people['admin'].id}"

    taken = await admin.post(
        "/settings/people", name="A", email="agent@example.com", role="agent"
    )
    wrong = await admin.post("/settings/people", name="A", email="no", role="king")
    role = await admin.post(f"{own}/access", role="agent")
    out = await admin.post(f"{own}/open", wanted="closed", sure="yes")

    assert [one.status_code for one in (taken, wrong, role, out)] == [422] * 4
    assert (
        "There already is an account with the address agent@example.com" in taken.text
    )
    assert "Ask another admin" in role.text


@pytest.mark.parametrize("role", ["agent", "lead", "operator", "developer", "auditor"])
async def test_only_an_admin_sees_people(doors: Doors, role: str) -> None:
    visitor = await doors.visit(role)

    assert (await visitor.get("/settings/people")).status_code == 403
    assert "/settings/people" not in (await visitor.get("/settings")).text


async def test_a_service_gets_its_token_from_an_admin(
    doors: Doors, store: Store
) -> None:
    admin = await doors.visit("admin")
    fields = {"name": "Desk", "email": "desk@example.com", "role": "agent"}
    invited = await admin.post("/settings/people", kind="service", **fields)
    path = invited.headers["location"]

    wanted = {"name": "help desk", "password": PASSWORD}
    page = (await admin.send(f"{path}/tokens", **wanted)).text

    found = re.search(r"kt_[\w-]{43}", page)
    assert found is not None
    async with store.read() as session:
        row = await person_accounts.by_email(session, "desk@example.com")
        assert row is not None
        [token] = await tokens.listing(session, row.id)
    assert token.scopes == ["read", "runs.start", "runs.message"]


@pytest.mark.parametrize("path", ["/settings", "/settings/people/{}"])
async def test_what_turns_text_around_is_shown_in_titles_too(
    doors: Doors, store: Store, path: str
) -> None:
    admin = await doors.visit("admin")
    async with store.write() as session:
        [row] = (await session.execute(select(SessionRow))).scalars()
        row.browser = row.address = "\u202efox"
        person = await person_accounts.get(session, row.person)
        person.name = "Ada \u202eAdmin"

    page = (await admin.get(path.format(person.id))).text

    html = re.sub(r"<input[^>]*>", "", page)
    assert "\u202e" not in html
    assert "[U+202E]" in html
