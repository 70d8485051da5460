"""P8: an account, session or token written into the database by hand opens nothing."""

import pytest

from keyturn.orchestrator.store.db import errors as db_errors
from keyturn.orchestrator.store.db import row_codes
from keyturn.orchestrator.store.db.errors import ForgedRow
from keyturn.orchestrator.store.dual_control import break_glass
from keyturn.orchestrator.store.people import (
    access,
    accounts,
    errors,
    oidc_links,
    sessions,
    tokens,
)
from keyturn.orchestrator.store.tables import PersonRow, SessionRow, TokenRow
from tests.databases import both
from tests.orchestrator.store.desk import Desk
from tests.orchestrator.store.integrity.forgery import (
    DAY,
    HASHED,
    by_hand,
    critical_incidents,
    inserted,
)

pytestmark = both
HASH_OF_KT_MINE = tokens._hash("kt_mine")  # pyright: ignore[reportPrivateUsage] as an attacker works it out


def token(desk: Desk, name: str, owner: str) -> TokenRow:
    return TokenRow(
        id=f"tok-{name}",
        person=owner,
        name=name,
        hash=HASH_OF_KT_MINE,
        scopes=["*"],
        created_at=desk.clock(),
    )


async def test_p08_an_inserted_token_opens_nothing(desk: Desk) -> None:
    await inserted(desk, token(desk, "mine", "lea"))

    assert await tokens.find(desk.store, "kt_mine") is None
    assert await critical_incidents(desk) == ["forged row tok-mine of tokens"]


async def test_p08_a_token_of_ours_that_was_given_to_another_opens_nothing(
    desk: Desk,
) -> None:
    plain = await tokens.create(desk.store, "amy", name="mine", by="amy")
    assert await tokens.find(desk.store, plain) is not None

    await by_hand(desk, "UPDATE tokens SET person = 'lea'")

    assert await tokens.find(desk.store, plain) is None


async def test_p08_an_inserted_session_opens_nothing(desk: Desk) -> None:
    now = desk.clock()
    row = SessionRow(
        id="ses-mine",
        person="lea",
        hash=HASH_OF_KT_MINE,
        rotated_at=now,
        csrf="c",
        created_at=now,
        seen_at=now,
        ends_at=now + DAY,
    )
    await inserted(desk, row)

    assert await sessions.find(desk.store, "kt_mine") is None
    assert await sessions.owners(desk.store, {"ses-mine"}) == {}
    assert await critical_incidents(desk) == ["forged row ses-mine of sessions"]


@pytest.mark.parametrize(
    "change",
    ["role = 'admin'", "password_hash = 'x'", "tenant = 'other'", "name = 'Lea'"],
)
async def test_p08_an_account_changed_by_hand_comes_in_no_more(
    desk: Desk, change: str
) -> None:
    plain = await tokens.create(desk.store, "amy", name="mine", by="amy")
    await by_hand(desk, f"UPDATE people SET {change} WHERE id = 'amy'")  # noqa: S608 ours

    assert await tokens.find(desk.store, plain) is None
    assert await critical_incidents(desk) == ["forged row amy of people"]


async def test_p08_what_was_changed_by_hand_is_not_vouched_for_by_a_later_change(
    desk: Desk,
) -> None:
    await by_hand(desk, "UPDATE people SET role = 'admin' WHERE id = 'amy'")

    with pytest.raises(ForgedRow, match="amy of the table people"):
        await accounts.set_password(desk.store, "amy", password_hash=HASHED, by="amy")

    [row] = await desk.rows(PersonRow, id="amy")
    assert row.password_hash is None


async def test_p08_taking_away_needs_nobodys_word(desk: Desk) -> None:
    """Else one planted token would keep an account open in an emergency."""
    await inserted(desk, token(desk, "mine", "amy"))
    await by_hand(desk, "UPDATE people SET role = 'admin' WHERE id = 'bob'")

    for name in ("amy", "bob"):
        await access.disable(desk.store, name, by="lea")

    assert all(
        one.disabled_at
        for one in await desk.rows(PersonRow)
        if one.id in ("amy", "bob")
    )
    [planted] = await desk.rows(TokenRow)
    assert planted.revoked_at is not None
    assert await tokens.find(desk.store, "kt_mine") is None


async def test_an_account_is_vouched_for_by_hand_and_told(desk: Desk) -> None:
    plain = await tokens.create(desk.store, "amy", name="mine", by="amy")
    await by_hand(desk, "UPDATE people SET name = 'Amy B.' WHERE id = 'amy'")
    assert await tokens.find(desk.store, plain) is None

    row = await break_glass.vouch(desk.store, "amy@example.com", by="shell:root")

    assert row is not None
    assert await tokens.find(desk.store, plain) is not None
    assert (
        await break_glass.vouch(desk.store, "amy@example.com", by="shell:root") is None
    )
    assert [one.split(" alone")[0] for one in await critical_incidents(desk)] == [
        "forged row amy of people",
        "account amy vouched for",
    ]


async def test_what_was_closed_and_happens_again_is_told_again(desk: Desk) -> None:
    await inserted(desk, token(desk, "mine", "lea"))
    for _ in range(2):
        assert await tokens.find(desk.store, "kt_mine") is None
    await by_hand(desk, "UPDATE incidents SET status = 'closed'")

    for _ in range(2):
        assert await tokens.find(desk.store, "kt_mine") is None

    first, second = sorted(await critical_incidents(desk))
    assert second.startswith(f"{first} again ")


async def test_p08_an_inserted_account_is_nobodys_at_a_provider(desk: Desk) -> None:
    row = PersonRow(
        id="mal",
        name="Mal",
        email="mal@example.com",
        role="admin",
        oidc_issuer="https://op",
        oidc_subject="s",
        created_at=desk.clock(),
    )
    await inserted(desk, row)

    with pytest.raises(errors.NoAccountFor):
        await oidc_links.find(desk.store, issuer="https://op", subject="s", email=None)


async def test_the_key_is_changed_with_the_one_before_at_hand(desk: Desk) -> None:
    plain = await tokens.create(desk.store, "amy", name="mine", by="amy")
    before = desk.store.voucher
    try:
        desk.store.voucher = row_codes.Voucher("another")
        assert await tokens.find(desk.store, plain) is None
        desk.store.voucher = row_codes.Voucher(
            "another", before="a secret of these tests"
        )
        assert await tokens.find(desk.store, plain) is not None
    finally:
        desk.store.voucher = before


async def test_without_a_key_accounts_are_not_written(desk: Desk) -> None:
    before = desk.store.voucher
    try:
        desk.store.voucher = None
        with pytest.raises(db_errors.CannotVouch, match="KEYTURN_SECRET_KEY"):
            await accounts.set_password(
                desk.store, "amy", password_hash=HASHED, by="amy"
            )
    finally:
        desk.store.voucher = before
