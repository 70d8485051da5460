"""People and tokens over HTTP."""

from typing import Any

import httpx2
import pytest

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import tokens
from keyturn.orchestrator.store.people.tokens import NewToken
from tests.approvals.desk import Desk
from tests.approvals.people import PASSWORD, People

PEOPLE = "/api/v1/people"
TOKENS = "/api/v1/me/tokens"
Headers = dict[str, str]


async def _invite(
    http: httpx2.AsyncClient, headers: Headers, name: str = "Ann", **more: object
) -> httpx2.Response:
    email = f"{name.lower()}@acme.example"
    body = {"name": name, "email": email, "role": "agent", **more}
    return await http.post(PEOPLE, json=body, headers=headers)


async def _token(
    http: httpx2.AsyncClient, headers: Headers, *scopes: str, **more: object
) -> httpx2.Response:
    body = {"name": "t", "scopes": list(scopes), "days": 1, **more}
    return await http.post(TOKENS, json=body, headers=headers)


def _bearer(made: httpx2.Response) -> Headers:
    assert made.status_code == 201, made.text
    return {"Authorization": f"Bearer {made.json()['secret']}"}


async def _yes(
    http: httpx2.AsyncClient, asked: httpx2.Response, headers: Headers
) -> dict[str, Any]:
    """Confirm what was asked for, and return the proposal."""
    assert asked.status_code == 202, asked.text
    path = f"/api/v1/proposals/{asked.json()['id']}:confirm"
    done = await http.post(path, headers=headers)
    assert done.status_code == 200, done.text
    return done.json()


async def _found(
    http: httpx2.AsyncClient, headers: Headers, email: str
) -> dict[str, Any] | None:
    listed = (await http.get(PEOPLE, headers=headers)).json()["items"]
    return next((one for one in listed if one["email"] == email), None)


async def test_p11_two_admins_open_and_raise_an_account(
    http: httpx2.AsyncClient, people: People
) -> None:
    max_ = await people.token("max", role="admin")
    eva = await people.token("eva", role="admin")

    asked = await _invite(http, max_, teams=["returns"], reason="She begins today.")
    nobody = await _found(http, max_, "ann@acme.example")
    own = await http.post(
        f"/api/v1/proposals/{asked.json()['id']}:confirm", headers=max_
    )
    said = await _yes(http, asked, eva)
    added = await _found(http, max_, "ann@acme.example")
    assert added is not None
    path = f"{PEOPLE}/{added['id']}"
    lead = {"role": "lead", "tenant": "acme"}
    raised = await http.put(f"{path}/access", json=lead, headers=max_)
    still = (await http.get(path, headers=max_)).json()
    await _yes(http, raised, eva)
    told = await http.patch(path, json={"languages": ["de", "en"]}, headers=max_)
    shown = (await http.get(path, headers=max_)).json()

    assert nobody is None
    assert own.status_code == 403
    assert (said["kind"], said["reason"]) == ("person.invite", "She begins today.")
    assert (added["role"], added["tenant"], added["has_password"]) == (
        "agent",
        None,
        False,
    )
    assert still["role"] == "agent"
    assert (shown["role"], shown["tenant"]) == ("lead", "acme")
    assert shown["approves_from"] is not None
    assert told.json() == shown
    assert (shown["teams"], shown["languages"]) == (["returns"], ["de", "en"])


async def test_p11_less_is_so_at_once(http: httpx2.AsyncClient, people: People) -> None:
    max_ = await people.token("max", role="admin")
    lea = (await people.named("lea", role="lead")).id

    agent = {"role": "agent", "tenant": "acme"}
    less = await http.put(f"{PEOPLE}/{lea}/access", json=agent, headers=max_)
    none = await http.post(
        f"{PEOPLE}/{lea}:password", json={"password": None}, headers=max_
    )
    open_ = await http.post(f"{PEOPLE}/{lea}:enable", headers=max_)
    auditor = await _invite(http, max_, role="auditor")
    service = await _invite(http, max_, "Bot", role="lead", kind="service")

    assert [one.status_code for one in (less, none, open_)] == [200, 200, 200]
    assert (less.json()["role"], less.json()["tenant"]) == ("agent", "acme")
    assert [one.status_code for one in (auditor, service)] == [201, 201]


async def test_p11_a_password_is_nowhere_to_be_read(
    http: httpx2.AsyncClient, people: People
) -> None:
    max_ = await people.token("max", role="admin")
    eva = await people.token("eva", role="admin")
    ann = await people.token("ann", password=PASSWORD)
    path = f"{PEOPLE}/{(await people.named('ann')).id}"
    form = {"email": "ann@shop.example", "password": "a quite new password"}

    new = {"password": "a quite new password"}
    asked = await http.post(f"{path}:password", json=new, headers=max_)
    listed = await http.get("/api/v1/proposals", headers=eva)
    early = await http.post("/sign-in", data=form)
    await _yes(http, asked, eva)
    late = await http.post("/sign-in", data=form)

    assert "argon2" not in asked.text + listed.text
    assert "secret" not in asked.json()
    assert early.headers["location"] != "/inbox"
    assert late.headers["location"] == "/inbox"
    assert (await http.get(path, headers=max_)).json()["approves_from"] is not None
    assert (await http.get("/api/v1/me", headers=ann)).status_code == 401


async def test_p11_a_lone_admin_reads_what_to_do(
    http: httpx2.AsyncClient, people: People
) -> None:
    max_ = await people.token("max", role="admin")

    asked = await _invite(http, max_)

    assert asked.status_code == 409
    assert "keyturn user add" in asked.json()["detail"]


async def test_two_accounts_share_no_address(
    http: httpx2.AsyncClient, people: People
) -> None:
    max_ = await people.token("max", role="admin")
    await people.named("ann")

    again = await _invite(http, max_, email="ann@shop.example")

    assert again.status_code == 409
    assert again.json()["type"] == "urn:keyturn:problem:email-taken"


async def test_no_admin_changes_themselves(
    http: httpx2.AsyncClient, people: People
) -> None:
    max_ = await people.token("max", role="admin")
    await people.named("eva", role="admin")
    path = f"{PEOPLE}/{(await people.named('max')).id}"

    answers = [
        await http.put(
            f"{path}/access", json={"role": "lead", "tenant": None}, headers=max_
        ),
        await http.post(f"{path}:disable", headers=max_),
        await http.post(f"{path}:password", json={"password": PASSWORD}, headers=max_),
    ]

    assert [one.status_code for one in answers] == [403, 403, 403]
    assert answers[0].json()["type"] == "urn:keyturn:problem:own-access"


async def test_a_tenants_admin_manages_that_tenants_people_alone(
    http: httpx2.AsyncClient, people: People
) -> None:
    tim = await people.token("tim", role="admin", tenant="acme")
    other = (await people.named("ola", tenant="other")).id
    whole = (await people.named("eva", role="admin")).id

    own = (await _invite(http, tim, role="developer")).json()
    foreign = await _invite(http, tim, "Ben", tenant="other")
    wider = await http.put(
        f"{PEOPLE}/{own['id']}/access",
        json={"role": "developer", "tenant": None},
        headers=tim,
    )
    listed = (await http.get(PEOPLE, headers=tim)).json()["items"]
    theirs = (await http.get(PEOPLE, params={"tenant": "other"}, headers=tim)).json()

    assert own["tenant"] == "acme"
    assert foreign.status_code == 403
    assert wider.status_code == 403
    assert {one["tenant"] for one in listed} == {"acme"}
    assert theirs["items"] == []
    for person in (other, whole):
        for answer in (
            await http.get(f"{PEOPLE}/{person}", headers=tim),
            await http.post(f"{PEOPLE}/{person}:disable", headers=tim),
            await http.post(
                f"{PEOPLE}/{person}:password", json={"password": None}, headers=tim
            ),
            await http.get(f"{PEOPLE}/{person}/tokens", headers=tim),
        ):
            assert answer.status_code == 404


@pytest.mark.parametrize("role", ["agent", "lead", "operator", "developer", "auditor"])
async def test_only_an_admin_manages_people(
    http: httpx2.AsyncClient, people: People, role: str
) -> None:
    eve = await people.token("eve", role=role)

    assert (await http.get(PEOPLE, headers=eve)).status_code == 403
    assert (await _invite(http, eve)).status_code == 403


async def test_a_closed_account_opens_nothing_until_it_is_opened_again(
    http: httpx2.AsyncClient, people: People
) -> None:
    max_ = await people.token("max", role="admin")
    eva = await people.token("eva", role="admin")
    ann = await people.token("ann", password=PASSWORD)
    path = f"{PEOPLE}/{(await people.named('ann')).id}"

    closed = await http.post(f"{path}:disable", headers=max_)
    refused = await http.get("/api/v1/me", headers=ann)
    why = {"reason": "Back from leave."}
    asked = await http.post(f"{path}:enable", headers=max_, json=why)
    bare = await http.post(f"{path}:enable", headers=max_)
    early = await http.get(path, headers=max_)
    await _yes(http, asked, eva)
    opened = await http.get(path, headers=max_)
    still = await http.get("/api/v1/me", headers=ann)
    form = {"email": "ann@shop.example", "password": PASSWORD}
    signed_in = await http.post("/sign-in", data=form)

    assert closed.json()["disabled_at"] is not None
    assert (refused.status_code, still.status_code) == (401, 401)
    assert early.json()["disabled_at"] is not None
    assert opened.json()["disabled_at"] is None
    assert asked.json()["reason"] == "Back from leave."
    assert bare.json()["id"] == asked.json()["id"]
    assert signed_in.headers["location"] == "/inbox"


async def test_the_last_admin_is_not_closed(
    http: httpx2.AsyncClient, people: People
) -> None:
    tim = await people.token("tim", role="admin", tenant="acme")
    max_ = await people.token("max", role="admin")
    path = f"{PEOPLE}/{(await people.named('tim')).id}"

    fine = await http.post(f"{path}:disable", headers=max_)

    assert fine.status_code == 200
    assert (await http.get("/api/v1/me", headers=tim)).status_code == 401


async def test_a_token_does_what_it_was_made_for(
    http: httpx2.AsyncClient, people: People
) -> None:
    lea = await people.token("lea", role="lead")
    reader = _bearer(await _token(http, lea, "read"))

    may = (await http.get("/api/v1/me", headers=reader)).json()["may"]
    read = await http.get("/api/v1/approvals", headers=reader)
    held = await http.post(
        "/api/v1/runs:pause",
        json={"filter": {"workflow": "support"}, "reason": "x"},
        headers=reader,
    )

    assert may == ["read"]
    assert read.status_code == 200
    assert held.status_code == 403
    assert "runs.hold_many" in held.json()["detail"]


async def test_p08_a_leads_token_without_the_scope_decides_nothing(
    http: httpx2.AsyncClient, store: Store, people: People, desk: Desk
) -> None:
    lea = await people.token("lea", role="lead")
    approval = await desk.approval(await desk.run())
    path = f"/api/v1/approvals/{approval.id}:decide"
    body = {"decision": "approve", "binding": approval.binding}

    reader = _bearer(await _token(http, lea, "read", "runs.hold"))
    decides = NewToken(name="t", scopes=("approvals.decide",))
    owner = (await people.named("lea")).id
    made = await tokens.issue(store, owner, decides, tokens.Maker(owner))
    decider = {"Authorization": f"Bearer {made.plain}"}
    many = {"items": [{"id": approval.id, "binding": approval.binding}]}
    batch = {**many, "decision": "approve"}
    refused = [
        await http.post(path, json=body, headers=reader),
        await http.post("/api/v1/approvals:decide", json=batch, headers=reader),
        await http.post(
            f"/inbox/{approval.id}/decide",
            data={"decision": "approve", "binding": str(approval.binding)},
            headers=reader,
        ),
    ]
    done = await http.post(path, json=body, headers=decider)

    assert [one.status_code for one in refused] == [403, 403, 403]
    assert done.status_code == 200, done.text


async def test_a_token_makes_none_that_does_or_lives_more(
    http: httpx2.AsyncClient, people: People
) -> None:
    lea = await people.token("lea", role="lead")
    parent = _bearer(await _token(http, lea, "read", "account.own", days=5))

    more = await _token(http, parent, "read", "runs.start", days=1)
    longer = await _token(http, parent, "read", days=6)
    less = await _token(http, parent, "read", days=4)
    without = await _token(http, _bearer(less), "read", days=1)

    assert [one.status_code for one in (more, longer, without)] == [403, 403, 403]
    assert less.status_code == 201


async def test_no_token_waits_for_a_better_role(
    http: httpx2.AsyncClient, people: People
) -> None:
    ann = await people.token("ann", role="agent")

    made = await _token(http, ann, "read", "people.manage")

    assert made.status_code == 403
    assert "people.manage" in made.json()["detail"]


async def test_tokens_are_listed_without_secrets_and_revoked(
    http: httpx2.AsyncClient, people: People
) -> None:
    ann = await people.token("ann")
    ben = await people.token("ben")
    made = await _token(http, ann, "read")

    token = _bearer(made)
    await http.get("/api/v1/me", headers=token)
    listed = await http.get(TOKENS, headers=ann)
    path = f"{TOKENS}/{made.json()['id']}"
    not_bens = await http.delete(path, headers=ben)
    revoked = await http.delete(path, headers=ann)

    newest: dict[str, Any] = listed.json()["items"][0]
    assert made.json()["secret"] not in listed.text
    assert newest["id"] == made.json()["id"]
    assert newest["used_at"] is not None
    assert not_bens.status_code == 404
    assert revoked.json()["revoked_at"] is not None
    assert (await http.get("/api/v1/me", headers=token)).status_code == 401


async def test_nobody_makes_a_token_that_acts_as_somebody_else(
    http: httpx2.AsyncClient, people: People
) -> None:
    max_ = await people.token("max", role="admin")
    lea = (await people.named("lea", role="lead")).id
    desk = (await people.named("desk", kind="service", role="lead")).id
    body = {"name": "t", "scopes": ["read", "runs.start"], "days": 1}

    persons = await http.post(f"{PEOPLE}/{lea}/tokens", json=body, headers=max_)
    services = await http.post(f"{PEOPLE}/{desk}/tokens", json=body, headers=max_)
    deciding = await http.post(
        f"{PEOPLE}/{desk}/tokens",
        json={"name": "t", "scopes": ["approvals.decide"]},
        headers=max_,
    )

    assert persons.status_code == 403
    assert services.status_code == 201
    assert deciding.status_code == 403
