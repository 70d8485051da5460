"""Wrong passwords slow strangers down, shut nobody out, and bound what is guessed."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count

import httpx2
import pytest
from fastapi import FastAPI

from keyturn.approvals.auth import browser, waiting_room
from keyturn.approvals.auth.waiting_room import WaitingRoom
from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people.errors import TooManyAttempts
from keyturn.orchestrator.store.people.sign_in_throttle import (
    LONGEST_WAIT,
    WINDOW,
    Pace,
)
from tests.approvals.auth.served import served
from tests.approvals.people import PASSWORD, People
from tests.databases import both

GUESS = "a guess"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Bench:
    """What waits in a waiting room: noted, and let go at once or when a test says so."""

    waited: list[float] = field(default_factory=list[float])
    taken: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def sit(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.taken.release()
        await self.go.wait()


def _process(store: Store, room: WaitingRoom) -> FastAPI:
    """A web process of its own at this record."""
    app = create_app(Settings(), store, None, Signer(new_key()))
    app.state.parts = replace(app.state.parts, waiting=room)
    return app


@asynccontextmanager
async def _browser(address: str) -> AsyncGenerator[httpx2.AsyncClient]:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=address, timeout=30, limits=limits) as http:
        yield http


async def _sign_in(
    http: httpx2.AsyncClient, email: str = "ann", password: str = PASSWORD
) -> str:
    """Where it leads: to the inbox, or back to the form with the words for it."""
    form = {"email": f"{email}@shop.example", "password": password}
    answer = await http.post("/sign-in", data=form)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def _fail(address: str, emails: list[str]) -> list[str]:
    """One wrong password for each of these, at once, from a browser nobody knows."""
    async with _browser(address) as http:
        return await asyncio.gather(*(_sign_in(http, one, GUESS) for one in emails))


@both
async def test_fifty_failures_next_door_slow_strangers_and_shut_nobody_out(
    store: Store, people: People
) -> None:
    """Issue 8.7: a hundred wrong passwords shut everybody behind one address out."""
    await people.named("ann", password=PASSWORD)
    await people.named("ben", password=PASSWORD)
    impatient, bench = Bench(), Bench()
    impatient.go.set()
    first = _process(store, WaitingRoom(sleep=impatient.sit))
    second = _process(store, WaitingRoom(sleep=bench.sit))
    async with served(first) as one, served(second) as other, _browser(other) as known:
        await _sign_in(known, "ann")
        await _fail(one, [f"nobody-{number}" for number in range(50)])
        async with _browser(other) as unknown:
            slow = asyncio.create_task(_sign_in(unknown, "ben"))
            await bench.taken.acquire()
            at_once = await _sign_in(known, "ann")
            was_waiting = not slow.done()
            bench.go.set()
            slowly = await slow

    assert len(impatient.waited) == 30  # twenty went at once
    assert max(impatient.waited) == 10
    assert at_once == "/inbox"
    assert was_waiting
    assert (slowly, bench.waited) == ("/inbox", [10])


async def test_the_wait_is_a_real_one(store: Store, people: People) -> None:
    await people.named("ann", password=PASSWORD)
    app = _process(store, WaitingRoom())
    clock = asyncio.get_running_loop().time
    async with served(app) as address, _browser(address) as http:
        for _ in range(4):
            await _sign_in(http, password=GUESS)
        begun = clock()

        led = await _sign_in(http)

    assert led == "/inbox"
    assert 0.9 < clock() - begun < 10


async def test_guesses_at_one_account_from_everywhere_slow_only_strangers(
    store: Store, people: People
) -> None:
    """Each stands behind an address of its own, as a proxy in front would say."""
    await people.named("ann", password=PASSWORD)
    bench = Bench()
    bench.go.set()
    app = _process(store, WaitingRoom(sleep=bench.sit))
    home = ("127.0.0.1", 1)
    async with _at(app, home) as known:
        await _sign_in(known)
        for number in range(10):
            async with _at(app, (f"192.0.2.{number}", 1)) as guesser:
                await _sign_in(guesser, password=GUESS)
        async with _at(app, ("198.51.100.1", 1)) as stranger:
            slowly = await _sign_in(stranger)
        at_once = await _sign_in(known)

    assert (slowly, at_once) == ("/inbox", "/inbox")
    assert bench.waited == [pytest.approx(1, abs=0.9)]


@asynccontextmanager
async def _at(
    app: FastAPI, client: tuple[str, int]
) -> AsyncGenerator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app, client=client)
    async with httpx2.AsyncClient(transport=transport, base_url="http://k") as http:
        yield http


async def test_a_browser_known_to_one_account_is_a_stranger_to_another(
    store: Store, people: People
) -> None:
    await people.named("ann", password=PASSWORD)
    await people.named("ben", password=PASSWORD)
    bench = Bench()
    bench.go.set()
    app = _process(store, WaitingRoom(sleep=bench.sit))
    async with served(app) as address, _browser(address) as bens:
        await _sign_in(bens, "ben")
        await _fail(address, ["ann"] * 4)

        await _sign_in(bens, "ann", GUESS)

    assert len(bench.waited) == 1


async def test_many_guesses_at_once_take_turns_and_the_rest_is_refused(
    store: Store, people: People
) -> None:
    await people.named("ann", password=PASSWORD)
    bench = Bench()
    bench.go.set()
    app = _process(store, WaitingRoom(sleep=bench.sit))
    async with served(app) as address:
        led = await _fail(address, ["ann"] * 30)
        page = await _shown(address, next(one for one in led if "Too+many" in one))

    # Four go at once; the fifth to the seventh wait for 1, 3 and 7 s, less what has passed.
    assert len(bench.waited) in (3, 4)
    assert max(bench.waited) <= 10
    assert sum("Too+many" in one for one in led) == 30 - 4 - len(bench.waited)
    assert re.search(r"Too many wrong passwords were tried\. Try again in \d", page)


async def _shown(address: str, path: str) -> str:
    async with _browser(address) as http:
        return (await http.get(path)).text


async def test_who_waits_holds_neither_the_database_nor_a_thread(
    store: Store, people: People
) -> None:
    """More wait than the pool has connections, and than there are threads to hash."""
    await people.named("ann", password=PASSWORD)
    bench = Bench()
    app = _process(store, WaitingRoom(sleep=bench.sit))
    async with served(app) as address, _browser(address) as known:
        await _sign_in(known)
        guesses = asyncio.create_task(
            _fail(address, [f"nobody-{number}" for number in range(64)])
        )
        for _ in range(40):
            await bench.taken.acquire()

        at_once = await _sign_in(known)

        assert at_once == "/inbox"
        assert not guesses.done()
        bench.go.set()
        await guesses


def test_the_waiting_room_leaves_places_to_other_addresses() -> None:
    room = WaitingRoom(most=3, most_an_address=2)

    with room.place("here"), room.place("here"):
        with pytest.raises(TooManyAttempts), room.place("here"):
            pass
        with room.place("there"), pytest.raises(TooManyAttempts), room.place("else"):
            pass
        with room.place("there"):
            pass
    with room.place("here"):
        pass


def test_all_waiting_rooms_have_room_for_who_waits() -> None:
    assert waiting_room.MOST_AN_ADDRESS * 4 == waiting_room.MOST


def _greedy(pace: Pace, every: timedelta, pauses: timedelta) -> list[datetime]:
    """When the guesses of a day are looked at that come as often as they can.

    After each five minutes of it they pause for so long.
    """
    looked_at: list[datetime] = []
    recent: deque[datetime] = deque()
    now, rested = BEGINNING, BEGINNING
    for _ in count():
        if now >= BEGINNING + timedelta(days=1):
            return looked_at
        while recent and recent[0] <= now - WINDOW:
            recent.popleft()
        start = pace.start(list(recent), now=now)
        if start <= now + LONGEST_WAIT:
            recent.append(start)
            looked_at.append(start)
        now += every
        if now - rested > WINDOW:
            now += pauses
            rested = now
    return looked_at


@pytest.mark.parametrize(
    ("pace", "most"),
    [(browser.ACCOUNT, 62), (browser.PAIR, 37)],
    ids=["account", "pair"],
)
@pytest.mark.parametrize("pause_s", [0, 60, 290, 300])
def test_guesses_a_day_stay_within_what_the_docstring_says(
    pace: Pace, most: int, pause_s: int
) -> None:
    found = _greedy(pace, timedelta(seconds=0.5), timedelta(seconds=pause_s))

    assert len(found) <= 288 * most
    for first, beyond in zip(found, found[most:], strict=False):
        assert beyond - first >= WINDOW
