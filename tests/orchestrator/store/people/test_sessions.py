"""Sessions: rotated, ended when idle or old, ended everywhere."""

from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.store.people import access, sessions
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.errors import AccountChanged, PasswordChanged
from keyturn.orchestrator.store.people.sessions import (
    OVERLAP,
    ROTATE_EVERY,
    Came,
    SignedOut,
)
from tests.orchestrator.store.accounts import Accounts

SECOND = timedelta(seconds=1)
OLD, NEW = "old", "new"


async def test_a_cookie_is_kept_as_a_hash(accounts: Accounts) -> None:
    ann = await accounts.open("ann")

    opened = await sessions.begin(accounts.store, ann, instead_of=None)

    [row] = await sessions.listing(accounts.store, ann.id)
    assert opened.cookie not in str(row.model_dump())
    assert all(
        opened.row.hash not in str(one.model_dump()) for one in await accounts.log()
    )


async def test_a_cookie_is_replaced_after_an_hour(accounts: Accounts) -> None:
    ann = await accounts.open("ann")
    opened = await sessions.begin(accounts.store, ann, instead_of=None)

    early = await sessions.find(accounts.store, opened.cookie)
    accounts.clock.passes(ROTATE_EVERY + SECOND)
    late = await sessions.find(accounts.store, opened.cookie)

    assert early is not None
    assert early.cookie is None
    assert late is not None
    assert late.cookie not in (None, opened.cookie)
    assert late.row.id == opened.row.id


async def test_requests_side_by_side_survive_a_new_cookie(accounts: Accounts) -> None:
    ann = await accounts.open("ann")
    opened = await sessions.begin(accounts.store, ann, instead_of=None)
    accounts.clock.passes(ROTATE_EVERY + SECOND)

    first = await sessions.find(accounts.store, opened.cookie)
    second = await sessions.find(accounts.store, opened.cookie)

    assert first is not None
    assert first.cookie is not None
    assert second is not None
    assert second.cookie is None
    assert await sessions.find(accounts.store, first.cookie) is not None
    assert await sessions.find(accounts.store, opened.cookie) is not None


async def test_a_new_cookie_that_got_lost_is_replaced(accounts: Accounts) -> None:
    ann = await accounts.open("ann")
    opened = await sessions.begin(accounts.store, ann, instead_of=None)
    accounts.clock.passes(ROTATE_EVERY + SECOND)
    lost = await sessions.find(accounts.store, opened.cookie)
    accounts.clock.passes(OVERLAP + SECOND)

    again = await sessions.find(accounts.store, opened.cookie)

    assert lost is not None
    assert again is not None
    assert again.cookie not in (None, lost.cookie)
    assert await sessions.find(accounts.store, str(lost.cookie)) is None
    assert await sessions.find(accounts.store, str(again.cookie)) is not None


async def test_a_page_left_open_does_not_keep_its_session(accounts: Accounts) -> None:
    ann = await accounts.open("ann")
    cookie = (await sessions.begin(accounts.store, ann, instead_of=None)).cookie
    for _ in range(7):
        accounts.clock.passes(timedelta(hours=1, seconds=1))
        found = await sessions.find(accounts.store, cookie, unasked=True)
        assert found is not None
        cookie = found.cookie or cookie
    accounts.clock.passes(timedelta(hours=1))

    assert await sessions.find(accounts.store, cookie, unasked=True) is None


async def test_a_copied_cookie_ends_the_session(accounts: Accounts) -> None:
    ann = await accounts.open("ann")
    opened = await sessions.begin(accounts.store, ann, instead_of=None)
    accounts.clock.passes(ROTATE_EVERY + SECOND)
    found = await sessions.find(accounts.store, opened.cookie)
    assert found is not None
    await sessions.find(accounts.store, str(found.cookie))
    accounts.clock.passes(OVERLAP + SECOND)

    copied = await sessions.find(accounts.store, opened.cookie)

    assert copied is None
    assert await sessions.find(accounts.store, str(found.cookie)) is None
    assert (await accounts.kinds())[-1] == "session.copied"


async def test_all_sessions_end_but_one(accounts: Accounts) -> None:
    ann, ben = await accounts.open("ann"), await accounts.open("ben")
    kept, *gone = [
        await sessions.begin(accounts.store, ann, instead_of=None) for _ in range(3)
    ]
    bens = await sessions.begin(accounts.store, ben, instead_of=None)

    ended = await sessions.end_all(accounts.store, ann.id, but=kept.row.id)

    assert ended == SignedOut(sessions=2, tokens=0)
    assert await sessions.find(accounts.store, kept.cookie) is not None
    assert await sessions.find(accounts.store, bens.cookie) is not None
    for one in gone:
        assert await sessions.find(accounts.store, one.cookie) is None
    assert (await accounts.kinds()).count("session.ended") == 2


async def test_nobody_ends_anothers_session(accounts: Accounts) -> None:
    ann, ben = await accounts.open("ann"), await accounts.open("ben")
    opened = await sessions.begin(accounts.store, ann, instead_of=None)

    with pytest.raises(NotFound):
        await sessions.end(accounts.store, opened.row.id, by=ben.id)

    assert await sessions.find(accounts.store, opened.cookie) is not None


async def test_the_list_shows_where_somebody_is_signed_in(accounts: Accounts) -> None:
    ann = await accounts.open("ann")
    came = Came(method="oidc", address="192.0.2.7", browser="Firefox")
    await sessions.begin(accounts.store, ann, instead_of=None, came=came)
    accounts.clock.passes(timedelta(hours=9))
    await sessions.begin(accounts.store, ann, instead_of=None)

    [live] = await sessions.listing(accounts.store, ann.id)

    assert live.method == "password"
    began = next(one for one in await accounts.log() if one.kind == "session.began")
    assert "192.0.2.7" in began.payload


async def test_p08_a_password_replaced_during_a_sign_in_opens_no_session(
    accounts: Accounts,
) -> None:
    """Checking it takes a tenth of a second: time enough to be thrown out."""
    ann = await accounts.open("ann")
    await person_accounts.set_password(
        accounts.store, ann.id, password_hash=OLD, by=ann.id
    )
    checked = await accounts.read(ann)

    await person_accounts.set_password(
        accounts.store, ann.id, password_hash=NEW, by=ann.id
    )

    with pytest.raises(AccountChanged):
        await sessions.begin(accounts.store, checked, instead_of=None)
    assert await sessions.listing(accounts.store, ann.id) == []


async def test_p08_an_account_closed_during_a_sign_in_opens_no_session(
    accounts: Accounts,
) -> None:
    checked = await accounts.open("ann")

    await access.disable(accounts.store, checked.id, by="ada")

    with pytest.raises(AccountChanged):
        await sessions.begin(accounts.store, checked, instead_of=None)


async def test_p08_a_password_taken_away_is_not_set_by_whoever_knew_it(
    accounts: Accounts,
) -> None:
    ann = await accounts.open("ann")
    await person_accounts.set_password(
        accounts.store, ann.id, password_hash=OLD, by=ann.id
    )

    await access.remove_password(accounts.store, ann.id, by="ada")

    with pytest.raises(PasswordChanged):
        await person_accounts.set_password(
            accounts.store, ann.id, password_hash=NEW, by=ann.id, instead_of=OLD
        )
    assert (await accounts.read(ann)).password_hash is None
