"""P1: what a broken-in worker writes with its own account in PostgreSQL, and may not."""

from collections.abc import AsyncIterator

import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from keyturn.orchestrator.store.db import roles
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import tokens
from keyturn.orchestrator.store.tables import ApprovalRow
from tests.databases import patient
from tests.orchestrator.store.desk import Desk, note, open_desk, refund

# What authority rests on: no worker writes any of it.
AUTHORITY = (
    "people",
    "tokens",
    "sessions",
    "decisions",
    "proposals",
    "releases",
    "switches",
    "tenants",
    "sources",
    "webhooks",
    "idempotency",
    "bulks",
)
# Statements with which somebody would take authority, or hide that they did.
TAKING = {
    "a role": "UPDATE people SET role = 'lead'",
    "a first day": "UPDATE people SET approves_from = NULL",
    "a switch lifted": "UPDATE switches SET cleared_at = now()",
    "who started": "UPDATE runs SET started_by = NULL",
    "whose run": "UPDATE runs SET customer = 'c2', contact = 'me@example.com'",
    "a release": "UPDATE releases SET live_since = now()",
    "a run's release": "UPDATE runs SET release = 'mine'",
    "whose turn": "UPDATE approvals SET assigned_to = 'amy'",
    "who may not": "UPDATE approvals SET not_by = '[]'",
    "arguments": "UPDATE calls SET arguments = '{}'",
    "effective": "UPDATE calls SET effective = '{}'",
    "a pause": "UPDATE runs SET paused_by = NULL",
    "a cancel": "UPDATE runs SET cancel_reason = NULL",
    "a decider": "UPDATE decisions SET person = 'amy'",
    "a limit": "UPDATE meters SET raised_tokens = 1000000",
    "a transcript": "UPDATE messages SET text = 'nothing'",
    "a turn": "DELETE FROM turns",
    "the log": "UPDATE audit SET payload = '{}'",
    "the chain": "UPDATE audit SET hash = NULL, position = NULL",
    "a log's end": "DELETE FROM audit",
    "an effect": "DELETE FROM effects",
    "an incident": "UPDATE incidents SET status = 'closed'",
}


@pytest.fixture
async def record(postgres_tables: str) -> AsyncIterator[Desk]:
    """A desk on PostgreSQL, with a run that is paused and one that is cancelled."""
    async with open_desk(postgres_tables) as opened:
        paused, cancelled = await opened.again(), await opened.again()
        await opened.tamper(await opened.run(paused), paused_by="lea")
        await opened.tamper(await opened.run(cancelled), cancel_reason="wrong")
        yield opened


@pytest.fixture(params=[roles.WORKER, roles.EFFECTS])
async def burgled(
    request: pytest.FixtureRequest, record: Desk
) -> AsyncIterator[tuple[str, Store]]:
    """The account of a worker, in somebody else's hands."""
    store = patient(roles.as_role(record.store.url, request.param))
    yield request.param, store
    await store.close()


async def tried(store: Store, statement: str) -> BaseException | None:
    """Try a statement; return what the database said, None where it did it."""
    try:
        await attempt(store, statement)
    except ProgrammingError as error:
        return error.orig
    return None


async def attempt(store: Store, statement: str) -> None:
    async with store.write() as session:
        await session.execute(text(statement))


async def test_p01_no_worker_writes_what_authority_rests_on(
    burgled: tuple[str, Store],
) -> None:
    for table in AUTHORITY:
        for verb in ("INSERT INTO {} DEFAULT VALUES", "DELETE FROM {}"):
            why = await tried(burgled[1], verb.format(table))
            assert isinstance(why, InsufficientPrivilege), (table, verb)


async def test_p01_no_worker_takes_authority_with_a_statement(
    burgled: tuple[str, Store],
) -> None:
    role, store = burgled
    for taken, statement in TAKING.items():
        why = await tried(store, statement)
        if (role, taken) in MAY:
            assert why is None, taken
        else:
            assert isinstance(why, InsufficientPrivilege), (taken, why)


# The effect worker takes back whom the system picked where an approval is asked of the
# next role, and undoes a person's edit; neither adds a yes.
MAY = {(roles.EFFECTS, "whose turn"), (roles.EFFECTS, "effective")}


async def test_p01_a_worker_reads_no_token_no_session_and_no_password(
    burgled: tuple[str, Store],
) -> None:
    for what in ("hash FROM tokens", "hash FROM sessions", "password_hash FROM people"):
        with pytest.raises(ProgrammingError) as refused:
            await attempt(burgled[1], f"SELECT {what}")
        assert isinstance(refused.value.orig, InsufficientPrivilege)


async def test_p08_a_worker_assigns_nothing_to_an_accomplice(
    record: Desk, burgled: tuple[str, Store]
) -> None:
    run = await record.start()
    await record.draft(run, refund())
    asked = await record.approval(run)
    copy = ApprovalRow.model_validate(
        {**asked.model_dump(), "id": "ap-mine", "revision": 7, "assigned_to": "bob"}
    )

    with pytest.raises(ProgrammingError, match="asked of nobody yet"):
        async with burgled[1].write() as session:
            session.add(copy)


async def test_p01_the_web_process_rewrites_neither_log_nor_decisions(
    record: Desk,
) -> None:
    run = await record.approved()
    await record.do(run)
    store = patient(roles.as_role(record.store.url, roles.WEB))
    statements = (
        "UPDATE decisions SET person = 'bob'",
        "DELETE FROM decisions",
        "UPDATE audit SET payload = '{}'",
        "DELETE FROM audit",
        "INSERT INTO effects DEFAULT VALUES",
        "UPDATE turns SET result = '{}'",
        "UPDATE releases SET content = '{}'",
    )

    for statement in statements:
        with pytest.raises(ProgrammingError) as refused:
            await attempt(store, statement)
        assert isinstance(refused.value.orig, InsufficientPrivilege), statement
    await store.close()


async def test_p01_a_turn_with_each_process_own_account(record: Desk) -> None:
    """Drafted by the worker, decided in the web process, done by the effect worker."""
    run = await record.start()
    await record.draft(run, refund(), note(1, order="o2"))
    await record.decide(run)
    await record.do(run)
    await record.do(run, index=1)

    assert (await record.call(run)).status == "done"
    with pytest.raises(ProgrammingError, match="permission denied"):
        await tokens.create(record.worker, "amy", name="mine", by="amy")


async def test_doctor_is_told_of_an_account_that_may_do_more(record: Desk) -> None:
    async with record.store.read() as session:
        assert "add rows to the table people" in (
            await roles.why_too_wide(session, roles.WORKER) or ""
        )
    store = patient(roles.as_role(record.store.url, roles.WORKER))
    async with store.read() as session:
        assert await roles.why_too_wide(session, roles.WORKER) is None
    await store.close()
