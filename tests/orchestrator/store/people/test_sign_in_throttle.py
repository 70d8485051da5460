"""How often a sign-in is tried: counted before a password is looked at."""

import asyncio
from datetime import timedelta

import pytest

from keyturn.orchestrator.store.people import sign_in_throttle
from keyturn.orchestrator.store.people.errors import TooManyAttempts
from keyturn.orchestrator.store.people.sign_in_throttle import Pace, Turn
from tests.databases import both
from tests.orchestrator.store.accounts import Accounts


async def test_the_ninth_attempt_waits(accounts: Accounts) -> None:
    for _ in range(8):
        await sign_in_throttle.take(accounts.store, {"pair": 8, "account": 100})

    with pytest.raises(TooManyAttempts) as refused:
        await sign_in_throttle.take(accounts.store, {"pair": 8, "account": 100})

    assert refused.value.retry_after_s == 300
    assert await accounts.kinds() == ["sign_in.limited"]


async def test_waiting_helps(accounts: Accounts) -> None:
    for _ in range(8):
        await sign_in_throttle.take(accounts.store, {"pair": 8})

    accounts.clock.passes(timedelta(minutes=5))

    assert await sign_in_throttle.take(accounts.store, {"pair": 8})


async def test_refusals_do_not_lengthen_the_wait(accounts: Accounts) -> None:
    for _ in range(8):
        await sign_in_throttle.take(accounts.store, {"pair": 8})
    accounts.clock.passes(timedelta(minutes=4))

    for _ in range(50):
        with pytest.raises(TooManyAttempts):
            await sign_in_throttle.take(accounts.store, {"pair": 8})
    accounts.clock.passes(timedelta(minutes=1))

    assert await sign_in_throttle.take(accounts.store, {"pair": 8})


@both
async def test_guesses_at_once_are_counted_one_by_one(accounts: Accounts) -> None:
    found = await asyncio.gather(
        *(sign_in_throttle.take(accounts.store, {"pair": 8}) for _ in range(20)),
        return_exceptions=True,
    )

    assert sum(isinstance(one, list) for one in found) == 8


async def test_a_right_password_is_forgiven_its_errors_and_no_others(
    accounts: Accounts,
) -> None:
    for _ in range(5):
        await sign_in_throttle.take(accounts.store, {"mine": 8, "account": 6})

    taken = await sign_in_throttle.take(accounts.store, {"mine": 8, "account": 6})
    await sign_in_throttle.forgive(accounts.store, taken, "mine")

    for _ in range(8):
        await sign_in_throttle.take(accounts.store, {"mine": 8})
    await sign_in_throttle.take(accounts.store, {"account": 6})
    with pytest.raises(TooManyAttempts):
        await sign_in_throttle.take(accounts.store, {"account": 6})


def test_a_key_does_not_tell_what_was_typed() -> None:
    assert "secret" not in sign_in_throttle.key("account", "my secret")


PACE = Pace(free=2, gaps_s=(1, 4), in_turn=True)


async def test_after_the_free_ones_each_waits_for_the_one_before(
    accounts: Accounts,
) -> None:
    waits = [
        (await sign_in_throttle.queue(accounts.store, {"a": PACE})).wait_s
        for _ in "123"
    ]
    accounts.clock.passes(timedelta(seconds=3))
    late = await sign_in_throttle.queue(accounts.store, {"a": PACE})

    assert waits == [0, 0, 1]
    assert late.wait_s == 2  # four after the third, of which two have passed
    assert await accounts.kinds() == ["sign_in.limited"]


async def test_who_would_wait_for_too_long_is_refused_and_not_counted(
    accounts: Accounts,
) -> None:
    for _ in range(5):
        await sign_in_throttle.queue(accounts.store, {"a": PACE})

    refused: list[int] = []
    for _ in range(3):
        with pytest.raises(TooManyAttempts) as found:
            await sign_in_throttle.queue(accounts.store, {"a": PACE})
        refused.append(found.value.retry_after_s)
    accounts.clock.passes(timedelta(seconds=refused[0]))
    after = await sign_in_throttle.queue(accounts.store, {"a": PACE})

    assert refused == [3, 3, 3]
    assert after.wait_s == 10


async def test_side_by_side_all_wait_for_as_long(accounts: Accounts) -> None:
    pace = Pace(free=1, gaps_s=(3, 5), in_turn=False)

    waits = [
        (await sign_in_throttle.queue(accounts.store, {"a": pace})).wait_s
        for _ in "1234"
    ]

    assert waits == [0, 3, 5, 5]


@both
async def test_attempts_at_once_take_turns(accounts: Accounts) -> None:
    """However many are sent at once, in however many processes."""
    found = await asyncio.gather(
        *(sign_in_throttle.queue(accounts.store, {"a": PACE}) for _ in range(20)),
        return_exceptions=True,
    )

    waits = sorted(one.wait_s for one in found if isinstance(one, Turn))
    assert waits == [0, 0, 1, 5, 9]


async def test_what_waits_counts_until_it_is_forgiven(accounts: Accounts) -> None:
    turns = [
        await sign_in_throttle.queue(accounts.store, {"a": PACE}) for _ in range(4)
    ]

    await sign_in_throttle.forgive(accounts.store, turns[3].taken, "a")

    assert (await sign_in_throttle.queue(accounts.store, {"a": PACE})).wait_s == 0
