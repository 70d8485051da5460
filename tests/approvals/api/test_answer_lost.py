"""A process that dies between what a request did and its answer: it is not done again."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from sqlmodel import col, select, update

from keyturn.approvals.api import run_body
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.store.db import request_keys
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.errors import AnswerLost, KeyInUse, KeyLost
from keyturn.orchestrator.store.db.request_keys import KEPT_FOR, LEASE, Claim, Kept
from keyturn.orchestrator.store.tables import (
    IdempotencyRow,
    IncidentRow,
    RunRow,
    TenantRow,
)
from tests.approvals.api.test_runs import BODY, RUNS
from tests.approvals.desk import Desk
from tests.approvals.people import People
from tests.databases import both, patient

INCIDENTS = "/api/v1/incidents"
SAID = {"severity": "low", "title": "Look", "detail": "At this."}
# What a request does, up to its end: claimed, acted, and killed before it answers.
DIES = """
import asyncio, os, signal, sys
from keyturn.orchestrator.store.db import request_keys
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import TenantRow

async def main():
    store = Store(sys.argv[1])
    claim = await request_keys.claim(store, person="ann", key="k", request="r")
    async with request_keys.acting() as acting:
        acting.claimed(store, claim)
        if sys.argv[2] == "acts":
            async with store.write() as session:
                now = await session.read_clock()
                row = TenantRow(key="acme", name="acme", declared_by="ann", created_at=now)
                session.add(row)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


class Killed(BaseException):
    """The process ends here: nothing of it runs any more."""


def dies(*_: object, **__: object) -> None:
    raise Killed


async def _wait(store: Store, by: timedelta = LEASE) -> None:
    """Let that time pass for what is kept."""
    async with store.write() as session:
        rows = (await session.execute(select(IdempotencyRow))).scalars()
        for row in list(rows):
            row.created_at -= by
            if row.claimed_until is not None:
                row.claimed_until -= by


@pytest.mark.parametrize("acts", [True, False])
async def test_a_process_killed_before_its_answer_acts_once_in_all(
    tables_url: str, *, acts: bool
) -> None:
    store = patient(tables_url)
    how = "acts" if acts else "dies at once"
    done = subprocess.run(  # noqa: ASYNC221 it ends at once
        [sys.executable, "-c", DIES, tables_url, how],
        check=False,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": "."},
    )
    await _wait(store)

    try:
        again = request_keys.claim(store, person="ann", key="k", request="r")
        if acts:
            with pytest.raises(AnswerLost, match="not carried out again"):
                await again
        else:
            assert isinstance(await again, Claim)
        async with store.read() as session:
            found = list((await session.execute(select(TenantRow.name))).scalars())
    finally:
        await store.close()
    assert done.returncode == -signal.SIGKILL
    assert ("acme" in found) == acts


@pytest.mark.parametrize(
    "case",
    [(INCIDENTS, SAID, IncidentRow, 409), (RUNS, BODY, RunRow, 200)],
    ids=["told", "naturally-once"],
)
async def test_a_request_whose_answer_was_lost_acts_once(
    http: httpx2.AsyncClient,
    desk: Desk,
    people: People,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, dict[str, object], type[IncidentRow | RunRow], int],
) -> None:
    path, body, table, status = case
    headers = {**await people.token("lea", role="admin"), "Idempotency-Key": "abc"}
    with monkeypatch.context() as patched:
        patched.setattr(request_keys, "save", dies)
        with pytest.raises(Killed):
            await http.post(path, json=body, headers=headers)
    await _wait(desk.store)

    again = await http.post(path, json=body, headers=headers)

    assert again.status_code == status, again.text
    if status == 409:
        assert again.json()["type"] == "urn:keyturn:problem:answer-lost"
    async with desk.store.read() as session:
        assert len(list((await session.execute(select(table.id))).scalars())) == 1


async def test_a_fault_after_something_was_done_frees_no_key(
    http: httpx2.AsyncClient, store: Store, people: People
) -> None:
    headers = {**await people.token("lea", role="admin"), "Idempotency-Key": "abc"}
    await http.post(INCIDENTS, json=SAID, headers=headers)
    person = (await people.named("lea")).id
    async with store.write() as session:
        await session.execute(update(IdempotencyRow).values(status=None))
    async with store.read() as session:
        query = select(IdempotencyRow.claim)
        held = Claim(person, "abc", (await session.execute(query)).scalar_one())

    await request_keys.drop(store, held, because=RuntimeError())
    kept = await _keys(store)
    await request_keys.drop(store, held)

    assert (kept, await _keys(store)) == (["abc"], [])


async def test_a_claim_is_held_for_as_long_as_its_request_takes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_keys, "RENEW_S", 0.01)
    first = await _held(store)
    before = await _until(store)
    async with request_keys.acting() as acting:
        acting.claimed(store, first)
        async with asyncio.timeout(20):
            while await _until(store) == before:  # noqa: ASYNC110 the clock is no event
                await asyncio.sleep(0.01)
    async with store.read() as session:
        [row] = (await session.execute(select(IdempotencyRow))).scalars()

    with pytest.raises(KeyInUse):
        await _claim(store)
    assert row.acted_at is None, "to renew a claim is no deed of the request"


@both
async def test_whoever_acted_before_the_database_was_away_is_told_so(
    store: Store,
) -> None:
    held = await _held(store)

    async def answer(*names: str) -> None:
        async with request_keys.acting() as acting:
            acting.claimed(store, held)
            for name in names:
                await _declare(store, name)
            raise StoreUnavailable("away", public_message="Nothing was changed.")

    with pytest.raises(AnswerLost, match="carried out, in whole or in part") as lost:
        await answer("once")
    await request_keys.drop(store, held, because=lost.value)

    assert await _keys(store) == ["k"], "a freed key would act again"
    with pytest.raises(StoreUnavailable):
        await answer()


@pytest.mark.parametrize(
    "case",
    [
        ({"source": "mail", "external_id": "m-1"}, 503, "Send it again"),
        ({}, 409, "carried out, in whole or in part"),
    ],
    ids=["named", "unnamed"],
)
async def test_a_start_that_its_id_names_may_be_sent_again_when_the_database_goes(
    http: httpx2.AsyncClient,
    desk: Desk,
    people: People,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[dict[str, str], int, str],
) -> None:
    named, status, words = case
    headers = await people.token("lea", role="admin")

    async def away(*_: object) -> None:
        raise StoreUnavailable("away", public_message="Nothing was changed.")

    with monkeypatch.context() as patched:
        patched.setattr(run_body, "one", away)
        lost = await http.post(RUNS, json={**BODY, **named}, headers=headers)
    again = await http.post(RUNS, json={**BODY, **named}, headers=headers)

    assert lost.status_code == status, lost.text
    assert words in lost.json()["detail"]
    assert again.status_code == (200 if named else 202), again.text
    async with desk.store.read() as session:
        found = list((await session.execute(select(RunRow.id))).scalars())
    assert len(found) == (1 if named else 2)


async def test_p09_a_process_that_stood_still_commits_nothing_once_another_answers(
    store: Store,
) -> None:
    first = await _held(store)
    await _wait(store)
    second = await _held(store)

    async with request_keys.acting() as acting:
        acting.claimed(store, first)
        with pytest.raises(KeyLost, match="this process changed nothing"):
            await _declare(store, "late")
    await request_keys.save(store, first, answer=Kept(status=201, body="late"))
    await request_keys.drop(store, first)
    async with request_keys.acting() as acting:
        acting.claimed(store, second)
        await _declare(store, "once")
    await request_keys.save(store, second, answer=Kept(status=201, body="once"))

    assert await _claim(store) == Kept(status=201, body="once")
    assert await _declared(store) == {"once"}


@both
async def test_p09_a_key_that_was_freed_meanwhile_is_no_way_back_in(
    store: Store,
) -> None:
    first = await _held(store)
    await _wait(store)
    second = await _held(store)
    await request_keys.drop(store, second, because=RuntimeError())
    third = await _held(store)
    async with request_keys.acting() as acting:
        acting.claimed(store, third)
        await _declare(store, "corrected")
    await request_keys.save(store, third, answer=Kept(status=201, body="corrected"))

    async with request_keys.acting() as acting:
        acting.claimed(store, first)
        with pytest.raises(KeyLost):
            await _declare(store, "stale")
    await request_keys.save(store, first, answer=Kept(status=201, body="stale"))
    await request_keys.drop(store, first)

    assert await _claim(store) == Kept(status=201, body="corrected")
    assert await _declared(store) == {"corrected"}


@both
async def test_p09_of_many_who_find_a_dead_claim_one_has_it(store: Store) -> None:
    await _claim(store)
    await _wait(store)

    found = await asyncio.gather(
        *(_claim(store) for _ in range(8)), return_exceptions=True
    )

    assert sum(isinstance(one, Claim) for one in found) == 1
    assert sum(isinstance(one, KeyInUse) for one in found) == 7


async def _claim(store: Store) -> Claim | Kept:
    return await request_keys.claim(store, person="ann", key="k", request="r")


async def _held(store: Store) -> Claim:
    found = await _claim(store)
    assert isinstance(found, Claim)
    return found


async def _declare(store: Store, name: str) -> None:
    async with store.write() as session:
        now = await session.read_clock()
        session.add(TenantRow(key=name, name=name, declared_by="ann", created_at=now))


async def _declared(store: Store) -> set[str]:
    query = select(TenantRow.name).where(col(TenantRow.declared_by) == "ann")
    async with store.read() as session:
        return set((await session.execute(query)).scalars())


async def _until(store: Store) -> datetime | None:
    async with store.read() as session:
        query = select(IdempotencyRow.claimed_until)
        return (await session.execute(query)).scalar_one()


async def test_what_is_kept_is_forgotten_after_its_time_a_batch_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_keys, "AT_ONCE", 2)
    for key in ("a", "b", "c"):
        await request_keys.claim(store, person="ann", key=key, request="r")
    await _wait(store, KEPT_FOR)
    await request_keys.claim(store, person="ann", key="new", request="r")

    passes = [await request_keys.forget(store) for _ in range(3)]

    assert passes == [2, 1, 0]
    assert await _keys(store) == ["new"]


async def _keys(store: Store) -> list[str]:
    query = select(IdempotencyRow.key).order_by(col(IdempotencyRow.key))
    async with store.read() as session:
        return list((await session.execute(query)).scalars())
