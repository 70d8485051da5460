"""P1: rows that somebody wrote into the database by hand open and start nothing."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from keyturn.orchestrator.rules.authority.binding import (
    Grounds,
    Signer,
    Statement,
    new_key,
)
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.store.db import errors as db_errors
from keyturn.orchestrator.store.db import row_codes
from keyturn.orchestrator.store.db.errors import ForgedRow
from keyturn.orchestrator.store.dual_control import break_glass, proposals, requests
from keyturn.orchestrator.store.people import (
    access,
    accounts,
    errors,
    oidc_links,
    sessions,
    tokens,
)
from keyturn.orchestrator.store.people.access import Change
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import (
    DecisionRow,
    IncidentRow,
    PersonRow,
    ProposalRow,
    ReleaseRow,
    SessionRow,
    TokenRow,
)
from tests.databases import both
from tests.orchestrator.store.desk import Desk, person, refund

pytestmark = both
DAY = timedelta(days=1)
HASHED = "a hash"
ADMINS = frozenset({"admin"})
HASH_OF_KT_MINE = tokens._hash("kt_mine")  # pyright: ignore[reportPrivateUsage] as an attacker works it out


async def by_hand(desk: Desk, statement: str, **values: Any) -> None:
    """Write as whoever reached the database, with none of our keys."""
    desk.is_honest = False
    async with desk.store.write() as session:
        await session.execute(text(statement), values)


async def inserted(desk: Desk, row: Any) -> None:
    """Insert a row as it is, past everything that vouches for rows."""
    desk.is_honest = False
    columns = {
        column.name: value
        for column in row.__table__.columns
        if (value := getattr(row, column.name)) is not None
    }
    async with desk.store.write() as session:
        await session.execute(row.__table__.insert().values(columns))


async def told(desk: Desk) -> list[str]:
    """The critical incidents that are open."""
    rows = await desk.rows(IncidentRow, severity="critical")
    return [one.source for one in rows]


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
    assert await told(desk) == ["forged row tok-mine of tokens"]


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
    assert await told(desk) == ["forged row ses-mine of sessions"]


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
    assert await told(desk) == ["forged row amy of people"]


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
    assert [one.split(" alone")[0] for one in await told(desk)] == [
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

    first, second = sorted(await told(desk))
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


async def test_p11_an_inserted_proposal_is_confirmed_by_nobody(desk: Desk) -> None:
    now = desk.clock()
    for name in ("ann", "ben"):
        async with desk.store.write() as session:
            session.add(
                PersonRow(
                    id=name,
                    name=name,
                    email=f"{name}@example.com",
                    role="admin",
                    created_at=now,
                )
            )
    change = Change(role="lead")
    asked = await requests.to_grant(
        desk.store, "amy", change, person("ann", role="admin"), reason="so"
    )
    assert isinstance(asked, ProposalRow)
    forged = ProposalRow.model_validate(
        {**asked.model_dump(), "id": "p-mine", "mac": None}
    )
    await inserted(desk, forged)

    with pytest.raises(ForgedRow):
        await proposals.confirm(
            desk.store, "p-mine", person("ben", role="admin"), roles=ADMINS
        )
    await by_hand(desk, "UPDATE proposals SET proposed_by = 'bob' WHERE id <> 'p-mine'")
    with pytest.raises(ForgedRow):
        await proposals.confirm(
            desk.store, asked.id, person("ben", role="admin"), roles=ADMINS
        )
    [amy] = await desk.rows(PersonRow, id="amy")
    assert amy.role == "agent"


async def test_p11_an_inserted_release_allows_nothing(desk: Desk) -> None:
    lax = desk.release.model_copy(update={"rules": (Rule("refund", verdict="allow"),)})
    now = desk.clock()
    row = ReleaseRow(
        hash=lax.hash(),
        workflow="desk",
        content=lax.data(),
        code_version="9",
        created_at=now,
        live_since=now + 400 * DAY,
        live_by="lea",
        signature=Signer(new_key()).sign(
            Statement(
                approval="a",
                binding="b",
                effective="b",
                person="lea",
                session="s",
                decision="approve",
                at=now,
            )
        ),
    )
    await inserted(desk, row)
    run = await desk.start()
    await desk.draft(run, refund(200_00))

    answer = await desk.lease(run)

    assert (answer.kind, answer.grant) == ("not_before", None)
    assert [one[:24] for one in await told(desk)] == ["forged release of desk: "]
    await desk.go_live()
    async with desk.store.read() as session:
        name, _ = await releases.live(session, "desk")
    assert name == desk.release.hash()


async def test_p11_the_date_of_a_signed_release_cannot_be_moved(desk: Desk) -> None:
    old = await desk.go_live(rules=(Rule("refund", verdict="allow"),))
    await desk.go_live()
    await by_hand(
        desk,
        "UPDATE releases SET live_since = :at WHERE hash = :hash",
        at=(desk.clock() + DAY).replace(tzinfo=None)
        if desk.store.is_sqlite
        else desk.clock() + DAY,
        hash=old.hash(),
    )
    run = await desk.start()
    await desk.draft(run, refund(200_00))

    assert (await desk.lease(run)).grant is None


async def test_p11_the_effect_workers_own_contract_counts(desk: Desk) -> None:
    """Also where both releases in the record would allow it outright."""
    strict = desk.release
    desk.release = await desk.go_live(rules=(Rule("refund", verdict="allow"),))
    run = await desk.start()
    await desk.draft(run, refund())
    desk.trust.own["desk"] = strict  # pyright: ignore[reportIndexIssue] a dict of the test's

    assert (await desk.lease(run)).kind == "waiting"


async def test_p08_started_by_emptied_after_the_decision_is_found(desk: Desk) -> None:
    run = await desk.start(started_by="bob")
    await desk.draft(run, refund())
    await desk.decide(run, "amy")
    await by_hand(desk, "UPDATE runs SET started_by = NULL")

    answer = await desk.lease(run)

    assert answer.kind == "refused"
    approval = await desk.approval(run)
    assert approval.closed_because == (
        "who started the run was changed since it was decided"
    )
    assert await told(desk) == [f"forged decision on {approval.id}"]


async def test_p08_who_may_not_decide_emptied_after_the_decision_is_found(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    asked = await desk.approval(run)
    await by_hand(desk, "UPDATE approvals SET not_by = :by", by=json.dumps(["lou"]))
    await desk.decide(run, "amy")
    await by_hand(desk, "UPDATE approvals SET not_by = '[]'")

    assert (await desk.lease(run)).kind == "refused"
    assert await told(desk) == [f"forged decision on {asked.id}"]


async def test_p08_a_role_given_after_the_decision_carries_nothing(desk: Desk) -> None:
    """The role that a decision was given in is signed with it."""
    run = await desk.start()
    await desk.draft(run, refund())
    asked = await desk.decide(run, "amy")
    await by_hand(desk, "UPDATE people SET role = 'lead' WHERE id = 'amy'")
    await by_hand(
        desk, "UPDATE approvals SET role = 'lead' WHERE id = :id", id=asked.id
    )

    assert (await desk.lease(run)).kind == "refused"


@pytest.mark.parametrize("people_", [("lea", "lou")])
async def test_p01_forged_decisions_pay_nothing_and_tell(
    desk: Desk, people_: tuple[str, str]
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(900_00))
    asked = await desk.approval(run)
    mine = Signer(new_key())
    for who in people_:
        said = Statement(
            approval=asked.id,
            binding=asked.binding or "",
            effective=asked.binding or "",
            person=who,
            session=f"s-{who}",
            decision="approve",
            at=desk.clock(),
            grounds=Grounds(
                started_by=None,
                not_by=(),
                assigned_to=None,
                revision=0,
                role="lead",
                tenant=None,
            ),
        )
        row = DecisionRow(
            **said.model_dump(exclude={"grounds"}),
            person_name=who,
            grounds=said.grounds.model_dump_json() if said.grounds else None,
            signature=mine.sign(said),
        )
        await inserted(desk, row)
    await by_hand(
        desk,
        "UPDATE approvals SET status = 'approved', usable_until = answer_by",
    )

    answer = await desk.lease(run)

    assert answer.kind == "refused"
    assert await told(desk) == [f"forged decision on {asked.id}"]


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
