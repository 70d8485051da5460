"""P13: what somebody writes past us into the tables, or into the log, is found."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text

from keyturn.orchestrator.rules.authority.binding import Signer, Verifier, new_key
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.audit.log import Entry, record
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.integrity import verification
from keyturn.orchestrator.store.integrity.sealer import Sealer
from keyturn.orchestrator.store.integrity.verification import Finding
from keyturn.orchestrator.store.releases.trust import Trust
from keyturn.orchestrator.store.tables import DecisionRow
from tests.databases import both, patient
from tests.orchestrator.store.desk import Desk, note

pytestmark = both

NEW_DECISION = (
    "INSERT INTO decisions (approval, person, person_name, session, decision, reason, "
    "binding, effective, signature, at) SELECT approval, 'lou', 'Lou', session, "
    "decision, reason, binding, effective, signature, at FROM decisions"
)
INSERTED = (
    "INSERT INTO tokens (id, person, name, hash, scopes, tenants, created_at) "
    "SELECT 'tk1', id, 'mine', 'abc', '[]', '[]', created_at FROM people "
    "WHERE id = 'lea'"
)
NEW_SWITCH = (
    "INSERT INTO switches (id, scope, mode, reason, author, created_at) "
    "SELECT 'sw1', '{}', 'halt', 'x', 'lea', created_at FROM people WHERE id = 'lea'"
)
NEW_MESSAGE = (
    'INSERT INTO messages (run, turn, "index", role, text, created_at) '
    "SELECT run, turn, 7, role, 'more', created_at FROM messages WHERE turn = 1"
)
UNLIKE = "the row differs from its last entry"
GONE = "the row is gone"
UNKNOWN = "no entry mentions this row"
ATTACKS = {
    "decider": ("UPDATE decisions SET person = 'bob'", "decisions/1", UNLIKE),
    "their-name": ("UPDATE decisions SET person_name = 'Al'", "decisions/1", UNLIKE),
    "reason": ("UPDATE decisions SET reason = 'fraud'", "decisions/1", UNLIKE),
    "edited-arguments": (
        "UPDATE decisions SET arguments = '{}'",
        "decisions/1",
        UNLIKE,
    ),
    "signature": (
        "UPDATE decisions SET signature = REPLACE(signature, 'A', 'B') || 'AA'",
        "decisions/1",
        UNLIKE,
    ),
    "deleted-decision": ("DELETE FROM decisions", "decisions/1", GONE),
    "inserted-decision": (NEW_DECISION, "decisions/2", UNKNOWN),
    "transcript": ("UPDATE messages SET text = 'no' WHERE turn = 1", "/1/0", UNLIKE),
    "longer-transcript": (NEW_MESSAGE, "/1/7", UNKNOWN),
    "turn": ("UPDATE turns SET result = '{}x'", "turns/", UNLIKE),
    "call": ("UPDATE calls SET arguments = '{}'", "calls/", UNLIKE),
    "amount": ("UPDATE effects SET amount = 1", "effects/", UNLIKE),
    "receipt": ("UPDATE effects SET receipt = '{\"a\": 1}'", "effects/", UNLIKE),
    "approvers": ("UPDATE effects SET approvers = '[\"bob\"]'", "effects/", UNLIKE),
    "deleted-effect": ("DELETE FROM effects", "effects/", GONE),
    "fewer-needed": ("UPDATE approvals SET needed = 0", "approvals/", UNLIKE),
    "starter": ("UPDATE runs SET started_by = 'bob'", "runs/", UNLIKE),
    "contact": ("UPDATE runs SET contact = 'x@example.com'", "runs/", UNLIKE),
    "role": ("UPDATE people SET role = 'admin' WHERE id = 'bob'", "people/bob", UNLIKE),
    "inserted-token": (INSERTED, "tokens/tk1", UNKNOWN),
    "inserted-switch": (NEW_SWITCH, "switches/sw1", UNKNOWN),
    "release": ("UPDATE releases SET code_version = 'x'", "releases/", UNLIKE),
}


async def attack(store: Store, *statements: str) -> None:
    """Write into the database as its owner."""
    async with store.engine.connect() as connection:
        for one in statements:
            await connection.execute(text(one))
        await connection.commit()


async def verified(desk: Desk) -> Finding:
    """Compare the log with the tables, signatures too."""
    return await verification.verify(desk.store, verifier=desk.trust.verifier)


async def history(desk: Desk) -> str:
    """Let a refund be approved and done, and seal what is said of it."""
    run = await desk.approved()
    await desk.do(run)
    await Sealer(desk.store).seal()
    desk.is_honest = False
    return run


@pytest.mark.parametrize(
    ("statement", "row", "what"), ATTACKS.values(), ids=ATTACKS.keys()
)
async def test_p13_what_is_written_past_us_is_found(
    desk: Desk, statement: str, row: str, what: str
) -> None:
    await history(desk)
    before = await verified(desk)

    await attack(desk.store, statement)

    assert before.is_intact, lines(before)
    found = await verified(desk)
    assert found.broken_at is None
    assert any(row in one.id and one.what == what for one in found.discrepancies), (
        lines(found)
    )


async def test_p13_a_signature_of_another_key_is_found_though_the_log_says_so(
    desk: Desk,
) -> None:
    await desk.approved()
    desk.is_honest = False
    forged = Signer(new_key())
    async with desk.store.write() as session:
        row = await session.get(DecisionRow, 1)
        assert row is not None
        row.signature = forged.sign(approval_lookup.statement(row))

    checked = await verified(desk)
    unchecked = await verification.verify(desk.store)

    assert [one.id for one in checked.discrepancies] == ["decisions/1"]
    assert "was not signed by a known key" in checked.discrepancies[0].what
    assert (unchecked.signatures, unchecked.is_intact) == (None, True)


async def test_p13_one_signed_before_the_key_was_changed_is_genuine(desk: Desk) -> None:
    await desk.approved()
    former, desk.signer = desk.signer.public(), Signer(new_key())

    desk.trust = Trust(Verifier(f"{desk.signer.public()},{former}"))

    found = await verified(desk)

    assert (found.signatures, found.is_intact) == (1, True)


async def test_p13_a_changed_entry_breaks_the_chain(desk: Desk) -> None:
    await history(desk)

    await attack(desk.store, "UPDATE audit SET payload = '{}' WHERE kind = 'turn'")

    found = await verified(desk)
    assert "was changed after it was sealed" in (found.why or "")
    # And nothing speaks of the turn any more.
    assert any(one.id.startswith("turns/") for one in found.discrepancies)


async def test_p13_a_deleted_sealed_entry_breaks_the_chain(desk: Desk) -> None:
    await history(desk)

    await attack(desk.store, "DELETE FROM audit WHERE position = 3")

    found = await verified(desk)
    assert (found.broken_at, found.why) == (3, "row 3 is missing; the next one is 4")


async def test_p13_the_last_sealed_entries_leave_rows_that_nothing_speaks_of(
    desk: Desk,
) -> None:
    await history(desk)

    await attack(desk.store, "DELETE FROM audit WHERE kind = 'effect.done'")

    found = await verified(desk)
    assert found.broken_at is None
    assert [one.what for one in found.discrepancies] == [UNLIKE]


async def test_p13_a_deleted_unsealed_entry_leaves_a_row_that_nothing_speaks_of(
    desk: Desk,
) -> None:
    await desk.approved()
    desk.is_honest = False

    await attack(desk.store, "DELETE FROM audit WHERE kind = 'decision.approve'")

    found = await verified(desk)
    assert any(
        (one.id, one.what) == ("decisions/1", UNKNOWN) for one in found.discrepancies
    )


async def test_p13_of_a_deleted_unsealed_entry_without_a_row_only_sqlite_has_a_gap(
    desk: Desk,
) -> None:
    await says(desk, "sign_in.failed", "sign_in.failed")
    desk.is_honest = False

    await attack(
        desk.store,
        "DELETE FROM audit WHERE id = (SELECT MIN(id) FROM audit "
        "WHERE kind = 'sign_in.failed')",
    )

    found = await verified(desk)
    whats = [one.what for one in found.discrepancies]
    expected = ["ids have a gap: entries were deleted or inserted"]
    assert whats == (expected if desk.store.is_sqlite else [])


async def test_p13_an_entry_that_hides_its_digest_is_found(desk: Desk) -> None:
    await says(desk, "decision.approve")
    desk.is_honest = False

    found = await verified(desk)

    assert [one.what for one in found.discrepancies] == [
        "an entry of kind 'decision.approve' has no digest of a row"
    ]


async def test_p13_a_false_upgrade_explains_nothing(desk: Desk) -> None:
    await desk.approved()
    await says(desk, "audit.digests_begin")
    desk.is_honest = False

    found = await verified(desk)

    assert [one.what for one in found.discrepancies] == ["says that digests begin here"]


async def test_p13_what_is_written_while_it_is_read_is_no_finding(
    desk: Desk, tables_url: str
) -> None:
    run = await desk.approved()
    read: list[str] = []

    async def go_on() -> None:
        store = patient(tables_url, clock=desk.clock)
        try:
            theirs = replace(desk, store=store)
            await theirs.do(run)
            other = await theirs.start(customer="c2")
            await theirs.draft(other, note(order="o2"))
        finally:
            await store.close()

    def progress(what: str, _: int) -> None:
        if what not in read:
            read.append(what)
        if read == ["entries"] and what == "entries":
            read.append("written meanwhile")
            with ThreadPoolExecutor() as pool:
                pool.submit(asyncio.run, go_on()).result()

    found = await verification.verify(desk.store, progress=progress)

    assert "written meanwhile" in read
    assert found.is_intact, lines(found)


async def test_rows_that_change_and_end_are_as_their_last_entries(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    sending = await verified(desk)
    await desk.record(grant, "unknown")
    unknown = await verified(desk)
    await desk.record(grant, "done", receipt={"id": "r1"})
    await desk.switch("halt")

    assert (sending.is_intact, unknown.is_intact) == (True, True)
    assert (await verified(desk)).is_intact


def lines(found: Finding) -> Sequence[str]:
    return [one.line for one in found.discrepancies]


async def says(desk: Desk, *kinds: str) -> None:
    """Add entries that speak of no row."""
    async with desk.store.write() as session:
        now = await session.read_clock()
        for kind in kinds:
            record(session, Entry(actor="system", kind=kind), at=now)
