"""P8: a stream that is open ends with what opened it, not with its own time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from keyturn.approvals.auth import liveness
from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import access, sessions, tokens
from keyturn.orchestrator.store.people.access import Change
from keyturn.orchestrator.store.people.accounts import NewPerson
from tests.approvals.auth import estate
from tests.approvals.auth.asgi import Answer, ask
from tests.approvals.auth.estate import HERE, Key, World

# One asking, one look, and a busy machine.
SOON_S = liveness.ASK_EVERY_S * 8
LIVE = (
    "/inbox/live",
    "/inbox/{inbox}/live",
    "/handoffs/live",
    "/runs/{runs}/live",
    "/api/v1/runs/{runs}/events",
)
End = Callable[[Store, Key], Awaitable[object]]


async def _sign_out(store: Store, key: Key) -> None:
    await sessions.end_all(store, key.person.id)
    for row in (await _tokens(store, key))[:2]:
        await tokens.revoke(store, row, by=key.person.id)


async def _tokens(store: Store, key: Key) -> list[str]:
    async with store.read() as session:
        return [one.id for one in await tokens.listing(session, key.person.id)]


async def _close(store: Store, key: Key) -> None:
    await access.disable(store, key.person.id, by="test")


async def _change_role(store: Store, key: Key) -> None:
    await access.change(store, key.person.id, Change(role="developer"), by="test")


async def _change_tenant(store: Store, key: Key) -> None:
    async with store.write() as session:
        row = await access.lock(session, key.person.id, managed=None)
        wanted = Change(tenant="zebra").of(row)
        two = {"by": "test", "proposed_by": "another"}
        await session.read_clock()
        await access.grant(session, row, wanted, **two)


ENDS: dict[str, End] = {
    "signed out": _sign_out,
    "account closed": _close,
    "another role": _change_role,
    "another tenant": _change_tenant,
}


@pytest.fixture
async def world(store: Store) -> World:
    return await estate.build(store)


@pytest.fixture
def app(world: World) -> FastAPI:
    return create_app(Settings(), world.store, None, Signer(new_key()))


async def test_p08_a_stream_ends_with_what_opened_it(
    app: FastAPI, world: World
) -> None:
    begun = Begun(app)
    keys = {name: await _agent(world, name) for name in ENDS}
    opened = {
        f"{name}: {one}": task
        for name, key in keys.items()
        for one, task in _listeners(begun, world, key).items()
    }
    others = _listeners(begun, world, await _agent(world, "nothing"))
    try:
        await asyncio.wait_for(begun.reached(len(opened) + len(others)), 60)

        for name, key in keys.items():
            await ENDS[name](world.store, key)

        done, _ = await asyncio.wait(opened.values(), timeout=SOON_S)
        left = [name for name, task in others.items() if not task.done()]
    finally:
        tasks = [*opened.values(), *others.values()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert not [name for name, task in opened.items() if task not in done]
    assert {task.result().status for task in done} == {200}
    assert left == list(others)


def _listeners(
    begun: "Begun", world: World, key: Key
) -> "dict[str, asyncio.Task[Answer]]":
    """Every stream, by what opens it."""
    return {
        f"{path} by {how}": asyncio.create_task(_listened(begun, world, path, headers))
        for path in LIVE
        for how, headers in (("session", key.session), ("token", key.token))
    }


async def _agent(world: World, name: str) -> Key:
    """An agent of this tenant, for each way to end what opens a stream."""
    email = f"{name.replace(' ', '-')}@streams.example"
    fields = {"name": name, "email": email, "role": "agent", "tenant": HERE}
    return await estate.key(world.store, NewPerson.model_validate(fields))


class Begun:
    """An application, and how many of its answers have begun."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._count = 0
        self._more = asyncio.Condition()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                async with self._more:
                    self._count += 1
                    self._more.notify_all()

        await self._app(scope, receive, counted)

    async def reached(self, count: int) -> None:
        async with self._more:
            await self._more.wait_for(lambda: self._count >= count)


async def _listened(
    app: Begun, world: World, path: str, headers: dict[str, str]
) -> Answer:
    """Listen until the stream ends, a minute and a half at most."""
    asked = path.format(**world.here.ids)
    began = asyncio.get_running_loop().time()
    answer = await ask(app, "GET", asked, headers=headers, listen_s=90)
    assert asyncio.get_running_loop().time() - began < 90
    return answer
