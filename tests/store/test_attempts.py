"""How often a sign-in is tried: counted before a password is looked at."""

import asyncio
from datetime import timedelta

import pytest

from orchestrator.store import attempts
from orchestrator.store.attempts import TooManyAttempts
from tests.databases import both
from tests.store.accounts import Accounts


async def test_the_ninth_attempt_waits(accounts: Accounts) -> None:
    for _ in range(8):
        await attempts.take(accounts.store, {"pair": 8, "account": 100})

    with pytest.raises(TooManyAttempts) as refused:
        await attempts.take(accounts.store, {"pair": 8, "account": 100})

    assert refused.value.retry_after_s == 300
    assert await accounts.kinds() == ["sign_in.limited"]


async def test_waiting_helps(accounts: Accounts) -> None:
    for _ in range(8):
        await attempts.take(accounts.store, {"pair": 8})

    accounts.clock.passes(timedelta(minutes=5))

    assert await attempts.take(accounts.store, {"pair": 8})


async def test_refusals_do_not_lengthen_the_wait(accounts: Accounts) -> None:
    for _ in range(8):
        await attempts.take(accounts.store, {"pair": 8})
    accounts.clock.passes(timedelta(minutes=4))

    for _ in range(50):
        with pytest.raises(TooManyAttempts):
            await attempts.take(accounts.store, {"pair": 8})
    accounts.clock.passes(timedelta(minutes=1))

    assert await attempts.take(accounts.store, {"pair": 8})


@both
async def test_guesses_at_once_are_counted_one_by_one(accounts: Accounts) -> None:
    found = await asyncio.gather(
        *(attempts.take(accounts.store, {"pair": 8}) for _ in range(20)),
        return_exceptions=True,
    )

    assert sum(isinstance(one, list) for one in found) == 8


async def test_a_right_password_is_forgiven_its_errors_and_no_others(
    accounts: Accounts,
) -> None:
    for _ in range(5):
        await attempts.take(accounts.store, {"mine": 8, "account": 6})

    taken = await attempts.take(accounts.store, {"mine": 8, "account": 6})
    await attempts.forgive(accounts.store, taken, "mine")

    for _ in range(8):
        await attempts.take(accounts.store, {"mine": 8})
    await attempts.take(accounts.store, {"account": 6})
    with pytest.raises(TooManyAttempts):
        await attempts.take(accounts.store, {"account": 6})


def test_a_key_does_not_tell_what_was_typed() -> None:
    assert "secret" not in attempts.key("account", "my secret")
