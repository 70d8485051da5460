"""Background jobs look soon while there is work, and seldom while there is none."""

import asyncio
from collections.abc import Callable

from keyturn.orchestrator.rules.pace import Bell, Every, Pace, repeat

NEVER_S = 3600.0


def test_pause_doubles_while_nothing_is_found_up_to_the_idle_pause() -> None:
    pace = Pace(busy_s=1.0, idle_s=5.0)
    pauses = [1.0]

    for _ in range(4):
        pauses.append(pace.after(pauses[-1], found=False))

    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_what_is_found_brings_the_next_look_soon() -> None:
    assert Pace(busy_s=1.0, idle_s=5.0).after(5.0, found=True) == 1.0


async def test_ring_ends_an_idle_pause() -> None:
    looks, bell = Looks(), Bell()
    job = asyncio.create_task(repeat(looks, pace=IDLE_AT_ONCE, bell=bell))
    await looks.until(1)

    bell.ring()

    await looks.until(2)
    job.cancel()


async def test_ring_during_a_look_is_not_lost() -> None:
    bell = Bell()
    looks = Looks(during_first=bell.ring)

    job = asyncio.create_task(repeat(looks, pace=IDLE_AT_ONCE, bell=bell))

    await looks.until(2)
    job.cancel()


async def test_without_a_ring_an_idle_job_does_not_look() -> None:
    looks = Looks()
    job = asyncio.create_task(repeat(looks, pace=IDLE_AT_ONCE, bell=Bell()))
    await looks.until(1)

    for _ in range(100):
        await asyncio.sleep(0)

    assert looks.number == 1
    job.cancel()


def test_every_says_yes_once_a_period() -> None:
    hourly = Every(NEVER_S)

    assert [hourly.is_due(), hourly.is_due()] == [True, False]


class IdleAtOnce(Pace):
    """A pace whose first idle pause is the longest."""

    def after(self, pause_s: float, *, found: bool) -> float:
        del pause_s
        return self.busy_s if found else self.idle_s


IDLE_AT_ONCE = IdleAtOnce(busy_s=0.0, idle_s=NEVER_S)


class Looks:
    """A look that finds nothing and counts how often it was asked."""

    def __init__(self, during_first: Callable[[], None] = lambda: None) -> None:
        self.number = 0
        self._during_first = during_first
        self._changed = asyncio.Condition()

    async def __call__(self) -> bool:
        async with self._changed:
            self.number += 1
            if self.number == 1:
                self._during_first()
            self._changed.notify_all()
        return False

    async def until(self, number: int) -> None:
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: self.number >= number)
