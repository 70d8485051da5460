"""P1: what a broken-in worker does with what it may write. Each of these moved money,
silenced somebody or stopped a switch before there were guards."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from pydantic import JsonValue

from keyturn.orchestrator.rules.authority.switch import Switch
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.approvals import request
from keyturn.orchestrator.store.db import overstayed, roles
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.errors import ForgedRow
from keyturn.orchestrator.store.db.role_names import WEB, WORKER
from keyturn.orchestrator.store.db.row_codes import Voucher
from keyturn.orchestrator.store.db.transaction import BARRIER
from keyturn.orchestrator.store.ledger import keys
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import control, end, messages
from keyturn.orchestrator.store.runs.end import Ending
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import ApprovalRow, CallRow, RunRow
from tests.databases import SECRET, both
from tests.orchestrator.store.desk import FACTS, Desk, open_desk, refund

USD: JsonValue = {"amount": 900_00, "currency": "USD"}
SHOWN: dict[str, JsonValue] = {"order_id": "o1", "amount": USD, "reason": "late"}
REAL: dict[str, JsonValue] = {**SHOWN, "order_id": "o9-of-the-thief"}
ASKED = {"kind": "ask", "approvers": 2, "role": "lead", "rule": "r"}
SMALL = (
    Rule("refund", up_to=Money(20_00, "USD"), verdict="allow"),
    Rule("refund", up_to=Money(5_000_00, "USD"), approvers=1, role="agent"),
)


@pytest.fixture
async def record(postgres_tables: str) -> AsyncIterator[Desk]:
    """A desk on PostgreSQL whose rules let small refunds out."""
    async with open_desk(postgres_tables, rules=SMALL) as opened:
        opened.is_honest = False
        yield opened


def account(desk: Desk, role: str = WORKER) -> "psycopg.Connection[Any]":
    """A connection of somebody who has a process's account, and its password."""
    url = roles.as_role(desk.store.url, role).replace("+psycopg", "")
    return psycopg.connect(url, autocommit=True)


def refused(desk: Desk, statement: str, *values: object) -> None:
    """Try a statement as the worker, which must be refused."""
    with account(desk) as thief, pytest.raises(InsufficientPrivilege):
        thief.execute(statement, values)  # pyright: ignore[reportArgumentType, reportCallIssue] ours


async def plant(desk: Desk, store: Store, run: str, **over: Any) -> None:
    """Insert a call that does one thing, and an approval that shows another."""
    async with store.write() as session:
        row = await session.get(RunRow, run)
        assert row is not None
        release, now = await releases.load(session, row.release), desk.clock()
        call = CallRow(
            run=run,
            turn=1,
            index=0,
            tool="refund",
            authority="irreversible",
            arguments=canonical.text(SHOWN),
            effective=canonical.text(over.pop("real", REAL)),
            arguments_hash=canonical.digest(SHOWN),
            gate="wait",
            created_at=now,
        )
        session.add(call)
        fields: dict[str, Any] = {
            "id": keys.approval_id(call),
            "run": run,
            "turn": 1,
            "index": 0,
            "tenant": row.tenant,
            "workflow": row.workflow,
            "customer": row.customer,
            "tool": "refund",
            "status": "pending",
            "arguments": canonical.text(SHOWN),
            "preview": FACTS,
            "amount": 900_00,
            "currency": "USD",
            "verdict": ASKED,
            "rule": "r",
            "needed": 2,
            "role": "lead",
            "release": row.release,
            "policy": release.policy_hash(),
            "binding": request.bind(row, call, release, FACTS),
            "not_by": [],
            "answer_by": now + timedelta(hours=4),
            "created_at": now,
        }
        session.add(ApprovalRow(**{**fields, **over}))


@both
async def test_p01_people_sign_nothing_but_what_they_are_shown(desk: Desk) -> None:
    """Written past the guards, as the owner of the tables."""
    desk.is_honest = False
    run = await desk.start()
    await plant(desk, desk.store, run)

    with pytest.raises(ForgedRow):
        await desk.decide(run, "lea")
    assert (await desk.decide(run, "lea", "reject")).status == "rejected"


async def test_p01_a_worker_asks_about_no_other_call_than_there_is(
    record: Desk,
) -> None:
    run = await record.start()

    with pytest.raises(Exception, match="no such call is to be asked about"):
        await plant(record, record.worker, run)


async def test_p09_a_worker_plants_nothing_where_an_undo_will_ask(record: Desk) -> None:
    run = await record.start()
    await record.draft(run, refund())
    asked = await record.approval(run)
    later = ApprovalRow.model_validate(
        {**asked.model_dump(), "id": f"{asked.id[:-1]}1", "revision": 1}
    )

    with pytest.raises(Exception, match="no such call is to be asked about"):
        async with record.worker.write() as session:
            session.add(later)


async def test_p04_a_worker_forgets_no_money_that_was_moved(record: Desk) -> None:
    run = await record.start()
    await record.draft(run, refund(20_00))
    await record.do(run)

    refused(record, "UPDATE effects SET status = 'undone' WHERE status = 'done'")
    refused(record, "UPDATE effects SET ended_at = '2020-01-01'")
    assert (await record.effect(f"{run}:1.0.0")).status == "done"


async def test_p02_a_worker_frees_nothing_that_is_being_sent(record: Desk) -> None:
    run = await record.start()
    await record.draft(run, refund(20_00))
    await record.send(run)

    refused(record, "UPDATE effects SET status = 'refused' WHERE status = 'sending'")


async def test_p02_a_worker_ends_a_run_with_an_unsent_lease(record: Desk) -> None:
    """Honest use: the run is over before its lease was used."""
    run = await record.approved()
    await record.granted(run)
    await control.cancel(record.web, run, by="lea", reason="wrong")

    await end.finish(record.worker, run, Ending(outcome="cancelled"))

    assert (await record.effect(f"{run}:1.0.0")).status == "refused"
    assert (await record.run(run)).status == "cancelled"


async def test_p01_a_worker_revives_nothing(record: Desk) -> None:
    run = await record.start()
    await record.draft(run, refund())
    await record.decide(run, "amy", "reject")
    await record.tamper(await record.run(run), status="handed_off")
    await record.tamper(await record.call(run), status="rejected")

    refused(record, "UPDATE approvals SET status = 'approved'")
    refused(record, "UPDATE approvals SET status = 'pending'")
    refused(record, "UPDATE runs SET status = 'running'")
    refused(record, "UPDATE calls SET status = 'open'")


async def test_p01_what_the_customer_wrote_since_the_yes_is_not_hidden(
    record: Desk,
) -> None:
    run = await record.approved()
    await messages.customer_wrote(
        record.web, run, text="Do not refund, it arrived.", external_id=None, by="svc"
    )
    with account(record) as thief:
        thief.execute("UPDATE customer_messages SET turn = 1")

    answer = await record.lease(run)

    assert (answer.kind, answer.grant) == ("void", None)


async def test_p08_an_assignment_that_was_left_out_carries_no_yes(
    postgres_tables: str,
) -> None:
    rules = (Rule("refund", approvers=1, role="agent", assign=True),)
    async with open_desk(postgres_tables, rules=rules) as record:
        record.is_honest = False
        run = await record.start()
        verdict = {"kind": "ask", "approvers": 1, "role": "agent", "rule": "x"}
        await plant(
            record,
            record.worker,
            run,
            real=SHOWN,
            assigns=False,
            needed=1,
            role="agent",
            verdict=verdict,
        )
        await record.decide(run, "bob")

        assert (await record.lease(run)).grant is None


ROW = "INSERT INTO audit (at, actor, kind, payload, to_notice{}) VALUES (now(), {}, 'x', '{{}}', false{})"
LIES = {
    "who": ROW.format("", "'lea'", ""),
    "what": ROW.format("", "'system'", "").replace("'x'", "'decision.approve'"),
    "a proposal": ROW.format("", "'system'", "").replace("'x'", "'proposal.opened'"),
    "who was drawn": ROW.format("", "'system'", "").replace(
        "'x'", "'approval.assigned'"
    ),
    "its place": ROW.format(", position", "'system'", ", 2147483647"),
    "its hash": ROW.format(", hash", "'system'", ", 'x'"),
    "a number ahead": ROW.format(", id", "'system'", ", 1000000"),
    "a pause of nobody's": ROW.format("", "'lea'", "").replace("'x'", "'run.paused'"),
    "a closed alarm": "INSERT INTO incidents (id, severity, title, source, detail, status, "
    "opened_by, named, created_at) VALUES ('in-1', 'low', 'x', 'y', '{}', 'closed', "
    "'system', '[]', now())",
    "an alarm of others": "INSERT INTO incidents (id, severity, title, source, detail, "
    "status, opened_by, named, created_at) VALUES ('in-1', 'low', 'x', "
    "'forged decision on ap-1', '{}', 'open', 'system', '[]', now())",
}


@pytest.mark.parametrize("lie", LIES)
async def test_p13_a_worker_logs_for_itself_alone(record: Desk, lie: str) -> None:
    refused(record, LIES[lie])


@pytest.fixture
async def web(record: Desk) -> AsyncIterator[Store]:
    """The web process's store, with the time-out that it has in production."""
    url = roles.as_role(record.store.url, WEB)
    opened = Store(url, clock=record.clock, voucher=Voucher(SECRET))
    yield opened
    await opened.close()


def halt(desk: Desk) -> Switch:
    fields = {"id": "stop", "mode": "halt", "reason": "theft", "author": "lea"}
    return Switch.model_validate({**fields, "created_at": desk.clock(), "scope": {}})


async def test_p03_a_switch_is_set_past_whoever_keeps_the_barrier(
    record: Desk, web: Store
) -> None:
    thief = account(record)
    thief.execute("SELECT pg_advisory_lock_shared(%s)", [BARRIER])

    barrier = await switches.put(web, halt(record))

    assert barrier.switch.id == "stop"
    assert _is_gone(thief)
    thief.close()


async def test_p03_a_pause_is_set_past_whoever_holds_the_run(
    record: Desk, web: Store
) -> None:
    run, thief = await record.start(), account(record)
    thief.execute("BEGIN")
    thief.execute("SELECT 1 FROM runs FOR UPDATE")

    paused = await control.pause(web, run, by="lea", reason="theft")

    assert paused.paused_by == "lea"
    assert _is_gone(thief)
    thief.close()


async def test_what_is_of_ours_and_short_is_left_alone(record: Desk) -> None:
    with account(record) as worker:
        worker.execute("BEGIN")
        worker.execute("SELECT pg_advisory_xact_lock_shared(%s)", [BARRIER])

        assert await overstayed.end(record.store) == 0
        worker.execute("COMMIT")


def _is_gone(connection: "psycopg.Connection[Any]") -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False
