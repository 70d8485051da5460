"""P13: the sealer chains what came by itself, and leaves out what did not."""

from datetime import datetime, timedelta

import pytest
from sqlmodel import col, select

from keyturn.orchestrator.store.integrity import verification
from keyturn.orchestrator.store.integrity.sealer import Sealer
from keyturn.orchestrator.store.tables import AuditRow, IncidentRow
from tests.databases import both
from tests.orchestrator.store.desk import Desk
from tests.orchestrator.store.integrity.test_p13_tables import attack, lines, says

pytestmark = both

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


async def seal(desk: Desk) -> int:
    """Seal all that is to be sealed; return how many entries."""
    sealer, count = Sealer(desk.store), 0
    # What follows a leap of the clock waits for transactions from before it.
    desk.clock.go_on(timedelta(seconds=3))
    while found := await sealer.seal():
        count += found
    return count


async def unsealed(desk: Desk) -> list[str]:
    """Return the kinds of what is not sealed, without what tells of it."""
    async with desk.store.read() as session:
        query = select(AuditRow.kind).where(
            col(AuditRow.position).is_(None), col(AuditRow.kind) != "incident.opened"
        )
        return list((await session.execute(query)).scalars())


async def insert(desk: Desk, at: datetime, *, entry: int | None = None) -> None:
    """Put an entry into the log as somebody who has the database."""
    desk.is_honest = False
    written = at.replace(tzinfo=None) if desk.store.is_sqlite else at
    name, value = ("id, ", f"{entry}, ") if entry is not None else ("", "")
    await attack(
        desk.store,
        f"INSERT INTO audit ({name}at, actor, kind, payload, to_notice) VALUES "  # noqa: S608 our own values
        f"({value}'{written}', 'lea', 'forged', '{{}}', false)",
    )


async def incidents(desk: Desk) -> list[tuple[str, str]]:
    return [(one.severity, one.title) for one in await desk.rows(IncidentRow)]


REFUSED = ("critical", "Audit entries are not sealed")
CHANGED = ("critical", "Sealed audit entries were changed")
SET_BACK = ("high", "The database's clock was set back")


@pytest.mark.parametrize(
    "by", [-HOUR, -MINUTE, MINUTE], ids=["an-hour", "a-minute", "ahead"]
)
async def test_p13_a_back_dated_entry_is_not_sealed(desk: Desk, by: timedelta) -> None:
    await desk.approved()
    await seal(desk)
    await insert(desk, desk.clock.at + by)

    await seal(desk)
    await says(desk, "honest")
    await seal(desk)

    assert await unsealed(desk) == ["forged"]
    assert await incidents(desk) == [REFUSED]
    found = await verification.verify(desk.store)
    assert any("skips it" in one.what for one in found.discrepancies)


async def test_p13_many_of_them_are_one_incident_and_hold_up_nothing(
    desk: Desk,
) -> None:
    await says(desk, "honest")
    await seal(desk)
    for _ in range(3):
        await insert(desk, desk.clock.at - HOUR)
    await seal(desk)

    await says(desk, "honest")
    await seal(desk)

    assert await unsealed(desk) == ["forged"] * 3
    assert await incidents(desk) == [REFUSED]


async def test_p13_an_entry_below_the_head_is_not_sealed(desk: Desk) -> None:
    await says(desk, "honest")
    await seal(desk)
    desk.clock.go_on(MINUTE)
    await says(desk, "honest")
    await seal(desk)

    await insert(desk, desk.clock.at, entry=-7)
    await seal(desk)

    assert await unsealed(desk) == ["forged"]
    assert await incidents(desk) == [REFUSED]


async def test_p13_that_the_clock_was_set_back_is_what_the_sealer_alone_says(
    desk: Desk,
) -> None:
    await says(desk, "clock.set_back")

    await seal(desk)
    desk.is_honest = False

    assert await unsealed(desk) == ["clock.set_back"]


async def test_p13_an_entry_that_is_replaced_after_it_was_sealed_is_told(
    desk: Desk,
) -> None:
    await desk.approved()
    sealer = Sealer(desk.store)
    await sealer.seal()
    desk.is_honest = False

    await attack(
        desk.store,
        "UPDATE audit SET actor = 'bob' WHERE position = (SELECT MAX(position) FROM audit)",
    )
    await sealer.seal()

    assert await incidents(desk) == [CHANGED]


async def test_p13_a_head_that_is_gone_is_told(desk: Desk) -> None:
    await desk.approved()
    sealer = Sealer(desk.store)
    await sealer.seal()
    desk.is_honest = False

    await attack(
        desk.store,
        "DELETE FROM audit WHERE position = (SELECT MAX(position) FROM audit)",
    )
    await sealer.seal()

    assert await incidents(desk) == [CHANGED]


async def test_what_waited_while_nobody_sealed_is_sealed(desk: Desk) -> None:
    await says(desk, "honest")
    await seal(desk)
    for _ in range(4):
        await says(desk, "honest")
        desk.clock.go_on(HOUR)

    await seal(desk)

    assert (await unsealed(desk), await incidents(desk)) == ([], [])


async def test_what_was_restored_from_a_backup_is_sealed(desk: Desk) -> None:
    await says(desk, "honest")
    await seal(desk)
    await says(desk, "lost with the database", "lost with the database")
    await seal(desk)
    desk.clock.go_on(HOUR)

    # As it was at the first sealing, under processes that were started again.
    await attack(desk.store, "DELETE FROM audit WHERE kind LIKE 'lost%'")
    await says(desk, "honest")
    await seal(desk)

    assert (await unsealed(desk), await incidents(desk)) == ([], [])
    desk.is_honest = not desk.store.is_sqlite


async def test_one_that_committed_after_the_next_id_is_sealed(desk: Desk) -> None:
    await says(desk, "honest")
    await seal(desk)
    now, newest = desk.clock.at, 1_000
    await insert(desk, now, entry=newest + 1)
    await seal(desk)

    await insert(desk, now - timedelta(seconds=2), entry=newest)
    await seal(desk)

    assert (await unsealed(desk), await incidents(desk)) == ([], [])


async def test_a_clock_that_leaps_ahead_is_no_matter(desk: Desk) -> None:
    await says(desk, "honest")
    await seal(desk)
    desk.clock.go_on(HOUR)
    await says(desk, "honest")

    await seal(desk)

    assert (await unsealed(desk), await incidents(desk)) == ([], [])


async def test_a_leap_waits_for_transactions_from_before_it(desk: Desk) -> None:
    await says(desk, "honest")
    await seal(desk)
    before = desk.clock.at
    desk.clock.go_on(HOUR)
    await says(desk, "after the leap")
    early = await Sealer(desk.store).seal()

    # It began before the leap, and commits now.
    await insert(desk, before)
    await seal(desk)

    if desk.store.is_sqlite:
        # There nothing is under way beside another.
        assert early == 1
    else:
        assert early == 0
        assert (await unsealed(desk), await incidents(desk)) == ([], [])


async def test_p13_a_clock_that_is_set_back_is_on_record_and_stops_nothing(
    desk: Desk,
) -> None:
    await desk.approved()
    await seal(desk)
    await says(desk, "before it was set back")
    desk.clock.go_on(-HOUR)
    await says(desk, "after it was set back")

    await seal(desk)
    for _ in range(3):
        desk.clock.go_on(HOUR / 2)
        await says(desk, "honest")
        await seal(desk)

    assert await unsealed(desk) == []
    assert await incidents(desk) == [SET_BACK]
    found = await verification.verify(desk.store)
    assert found.is_intact, lines(found)


async def test_p13_a_clock_that_is_set_back_explains_no_later_back_dating(
    desk: Desk,
) -> None:
    await says(desk, "honest")
    await seal(desk)
    desk.clock.go_on(-HOUR)
    await says(desk, "honest")
    await seal(desk)

    await insert(desk, desk.clock.at - HOUR)
    await seal(desk)

    assert await unsealed(desk) == ["forged"]
    assert sorted(await incidents(desk)) == sorted([SET_BACK, REFUSED])
