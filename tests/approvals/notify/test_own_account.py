"""What somebody is mailed of their own account, whatever they chose."""

from datetime import timedelta

import httpx2
import pytest

from keyturn.approvals.auth import accounts
from keyturn.orchestrator.cli.demo.mailbox import Mail
from keyturn.orchestrator.rules.notice import ACCOUNT_KINDS
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.audit.log import Entry
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.notices import queue
from keyturn.orchestrator.store.people import access, sessions, tokens
from keyturn.orchestrator.store.people.tokens import NewToken
from keyturn.orchestrator.store.tables import PersonRow
from tests.approvals.notify.conftest import Notifying
from tests.approvals.notify.receiver import receiving
from tests.approvals.people import PASSWORD, People
from tests.databases import both

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
NEW = "another good password"
HASH = "a hash"


@pytest.fixture
async def ann(people: People) -> PersonRow:
    return await people.named("ann", role="lead", password=PASSWORD, tenant="acme")


async def _signed_in(
    http: httpx2.AsyncClient, store: Store, person: PersonRow
) -> dict[str, str]:
    opened = await sessions.begin(store, person, instead_of=None)
    http.cookies.set("keyturn", opened.cookie)
    return {"X-CSRF-Token": opened.row.csrf, "User-Agent": FIREFOX}


async def _mailed(notifying: Notifying) -> Mail:
    await notifying.sender.send_due()
    [mail] = notifying.post.mails()
    assert mail["to"] == "ann@shop.example"
    return mail


@both
async def test_a_new_token_is_mailed_with_where_it_was_made_and_what_to_do(
    notifying: Notifying, http: httpx2.AsyncClient, ann: PersonRow
) -> None:
    headers = await _signed_in(http, notifying.store, ann)
    await queue.choose_mail(notifying.store, ann.id, [])
    scopes = ["read", "approvals.decide"]
    form = {"name": "ci", "scope": scopes, "days": "7", "password": PASSWORD}

    await http.post("/settings/tokens", data=form, headers=headers)

    mail = await _mailed(notifying)
    assert mail["subject"] == "Keyturn: a new API token acts as you"
    for words in (
        "For: “ci”",
        "May: read, approvals.decide",
        "Expires: 2030-01-08 12:00 UTC",
        "When: 2030-01-01 12:00 UTC, by you, from 127.0.0.1, with “Firefox on Linux”",
        "1. Open https://keyturn.example/settings and press “Sign out everywhere else”.",
    ):
        assert words in mail["body"]
    assert "kt_" not in mail["body"]


@both
async def test_a_new_password_and_a_sign_out_everywhere_are_mailed(
    notifying: Notifying, http: httpx2.AsyncClient, ann: PersonRow
) -> None:
    headers = await _signed_in(http, notifying.store, ann)
    change = {"old": PASSWORD, "new": NEW}

    await http.post("/api/v1/me:password", json=change, headers=headers)
    await http.post("/api/v1/me/sessions:end", headers=headers)

    mail = await _mailed(notifying)
    assert mail["subject"] == "Keyturn: 2 changes to your account"
    assert "Your password was changed." in mail["body"]
    assert "You were signed out everywhere." in mail["body"]
    assert mail["body"].count("with “Firefox on Linux”") == 2


@both
async def test_what_an_admin_did_to_the_password_is_mailed(
    notifying: Notifying, people: People, ann: PersonRow
) -> None:
    ada = await people.named("ada", role="admin")
    async with notifying.store.write() as session:
        row = await access.lock(session, ann.id, managed=None)
        await session.read_clock()
        await access.reset_password(
            session, row, password_hash=HASH, by=ada.id, proposed_by="max"
        )
    await access.remove_password(notifying.store, ann.id, by=ada.id)

    mail = await _mailed(notifying)

    assert "An admin set a new password for you." in mail["body"]
    assert "An admin removed your password." in mail["body"]
    assert mail["body"].count("by Ada") == 2


async def test_a_token_made_on_the_server_is_mailed(
    notifying: Notifying, ann: PersonRow
) -> None:
    new = NewToken(name="x\u202ey", scopes=("*",))
    await tokens.issue(notifying.store, ann.id, new, tokens.Maker("cli:root"))

    mail = await _mailed(notifying)

    assert "by root, on the server" in mail["body"]
    assert "May: everything you may do" in mail["body"]
    assert "\u202e" not in mail["body"]


async def test_of_a_services_token_its_maker_is_told(
    notifying: Notifying, people: People, ann: PersonRow
) -> None:
    bot = await people.named("bot", kind="service", role="agent")
    new = NewToken(name="shop", scopes=("read",), tenants=("default",))
    await tokens.issue(notifying.store, bot.id, new, tokens.Maker(ann.id))

    mail = await _mailed(notifying)

    assert mail["subject"] == "Keyturn: a new API token acts as the service Bot"
    assert "by you" in mail["body"]


async def test_it_is_mailed_at_once_and_delays_nothing_else(
    notifying: Notifying, ann: PersonRow
) -> None:
    """Others mails are held back for five minutes after each."""
    for _ in range(2):
        new = NewToken(name="ci", scopes=("read",))
        await tokens.issue(notifying.store, ann.id, new, tokens.Maker(ann.id))
        await notifying.sender.send_due()
        notifying.clock.go_on(timedelta(seconds=10))

    assert len(notifying.post.mails()) == 2


@pytest.mark.parametrize("kind", ACCOUNT_KINDS)
async def test_no_webhook_is_told_of_anybodys_account(
    notifying: Notifying, ann: PersonRow, kind: str
) -> None:
    async with receiving() as receiver:
        await notifying.hook(receiver)
        async with notifying.store.write() as session:
            now = await session.read_clock()
            entry = Entry(actor=ann.id, kind=kind, subject=ann.id, payload={})
            log.record(session, entry, at=now)

        await notifying.sender.send_due()

        assert receiver.posted == []
    assert len(notifying.post.mails()) == 1


async def test_what_the_demo_does_is_mailed_to_nobody(
    notifying: Notifying, ann: PersonRow
) -> None:
    await accounts.set_password(notifying.store, ann.id, NEW, by="system")

    await notifying.sender.send_due()

    assert notifying.post.mails() == []
