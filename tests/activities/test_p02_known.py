"""P2 through `perform`: real servers' answers, and what the ledger says after them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from pydantic import JsonValue
from temporalio.testing import ActivityEnvironment

from keyturn.activities.connectors.source import Services, client
from keyturn.activities.guard import Guard
from keyturn.activities.interface import ActResult, CallInput
from keyturn.activities.perform import Perform
from keyturn.activities.toolbox import Toolbox
from keyturn.activities.watch import Watch
from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.text import canonical, model_notices
from keyturn.orchestrator.store.ledger import outcome
from keyturn.orchestrator.store.tables import CallRow, EffectRow, IncidentRow
from keyturn.orchestrator.store.turns.turn import DraftedCall
from tests.activities.connectors.servers import (
    CUT,
    Heard,
    answer,
    http_server,
    smtp_server,
)
from tests.orchestrator.store.desk import Desk, mail

HUGE = 653247040368672768
LOGIN = "250-server\r\n250 AUTH PLAIN LOGIN"


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with client() as opened:
        yield opened


async def perform(
    desk: Desk, run: str, services: Services, watch: Watch | None = None
) -> ActResult:
    tools = registry.load(("tests.apps.desk",)).tools
    acts = Perform(
        store=desk.store,
        trust=desk.trust,
        toolbox=Toolbox(tools=tools, connectors=services),
        holder="w1",
        guard=Guard(desk.store),
        watch=watch or Watch(),
    )
    wanted = CallInput(run=run, turn=1, index=0)
    return await ActivityEnvironment().run(acts, wanted)


def shop(http: httpx2.AsyncClient, heard: Heard) -> Services:
    url = f"http://127.0.0.1:{heard.port}"
    return Services(http, {"shop": url}, may_write=True)


async def drafted(desk: Desk, tool: str = "top_up", **ticket: Any) -> str:
    """A run that may pay at once."""
    run = await desk.start(**ticket)
    amount: JsonValue = {"amount": 5_00, "currency": "USD"}
    arguments = canonical.text({"order_id": "o1", "amount": amount, "reason": ""})
    call = DraftedCall(
        index=0,
        tool=tool,
        provider_id="call_1",
        arguments=arguments,
        preview="{}",
        money=Money(5_00, "USD"),
    )
    await desk.draft(run, call)
    return run


async def became(desk: Desk, run: str) -> tuple[EffectRow, CallRow]:
    return await desk.effect(f"{run}:1.0.0"), await desk.call(run)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"HTTP/1.1 204 So\r\nConnection: close\r\n\r\n", id="204"),
        pytest.param(answer(201), id="201 empty"),
        pytest.param(answer(201, "Created", "text/plain"), id="201 text"),
    ],
)
async def test_p02_success_without_a_document_is_done_and_says_so(
    desk: Desk, http: httpx2.AsyncClient, reply: bytes
) -> None:
    run = await drafted(desk)
    async with http_server(reply) as heard:
        result = await perform(desk, run, shop(http, heard))

    effect, call = await became(desk, run)
    assert (result.kind, effect.status, effect.receipt) == ("done", "done", None)
    done = model_notices.call_done(words="127.0.0.1 answered 20")
    assert str(call.result).startswith(done.text)


async def test_what_is_known_to_be_done_is_watched_no_longer(
    desk: Desk, http: httpx2.AsyncClient
) -> None:
    """A worker does millions of them."""
    run, watch = await drafted(desk), Watch()
    async with http_server(answer(200, '{"id": "r"}')) as heard:
        result = await perform(desk, run, shop(http, heard), watch)

    assert (result.kind, watch.watched) == ("done", 0)


async def test_p02_64_bit_id_of_a_receipt_is_kept_digit_by_digit(
    desk: Desk, http: httpx2.AsyncClient
) -> None:
    run = await drafted(desk)
    async with http_server(answer(200, f'{{"id": {HUGE}}}')) as heard:
        result = await perform(desk, run, shop(http, heard))

    effect, _ = await became(desk, run)
    assert (result.kind, effect.receipt) == ("done", {"id": str(HUGE)})


@pytest.mark.parametrize("tool", ["top_up", "set_note"])
async def test_p02_408_and_cuts_are_repeated_where_the_key_is_honoured_alone(
    desk: Desk, http: httpx2.AsyncClient, tool: str
) -> None:
    run = await desk.start()
    arguments: dict[str, JsonValue] = {"order_id": "o1", "note": "hm"}
    if tool == "top_up":
        run = await drafted(desk)
    else:
        text = canonical.text(arguments)
        call = DraftedCall(index=0, tool=tool, provider_id="c", arguments=text)
        await desk.draft(run, call)
    async with http_server(answer(408), CUT, answer(200, '{"id": "r"}')) as heard:
        kinds = [(await perform(desk, run, shop(http, heard))).kind for _ in range(3)]

    effect, _ = await became(desk, run)
    keys = {line for head in heard.all for line in head.split("\r\n") if "Key" in line}
    if tool == "top_up":
        assert (kinds, effect.status) == (["not_before", "not_before", "done"], "done")
        assert len([one for one in keys if one.startswith("Idempotency")]) == 1
    else:
        assert (kinds, len(heard.all)) == (["unknown"] * 3, 1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 425, 429])
async def test_p02_no_to_a_later_attempt_leaves_it_unknown(
    desk: Desk, http: httpx2.AsyncClient, status: int
) -> None:
    run = await drafted(desk)
    refusal = answer(status, '{"error": {"message": "Done before."}}')
    async with http_server(CUT, refusal) as heard:
        first = await perform(desk, run, shop(http, heard))
        second = await perform(desk, run, shop(http, heard))
        third = await perform(desk, run, shop(http, heard))

    effect, call = await became(desk, run)
    assert (first.kind, second.kind, third.kind) == ("not_before", "unknown", "unknown")
    assert (effect.status, call.status, call.result) == ("unknown", "open", None)
    assert "Done before." in str(effect.error)
    assert len(heard.all) == 2


async def test_p14_customer_of_any_name_is_written_for(
    desk: Desk, http: httpx2.AsyncClient
) -> None:
    run = await drafted(desk, customer="顧客7")
    async with http_server(answer(200, '{"id": "r"}')) as heard:
        result = await perform(desk, run, shop(http, heard))

    assert result.kind == "done"
    assert "Keyturn-Customer: %E9%A1%A7%E5%AE%A27" in heard.all[0]


async def mailed(desk: Desk) -> str:
    run = await desk.start()
    await desk.tamper(await desk.run(run), contact="ann@example.com")
    await desk.draft(run, mail())
    await desk.decide(run)
    return run


def post_office(http: httpx2.AsyncClient, heard: Heard, user: str) -> Services:
    return Services(
        http,
        {},
        may_write=True,
        smtp_url=f"smtp://{user}127.0.0.1:{heard.port}",
        mail_from="desk@example.com",
    )


@pytest.mark.parametrize(
    ("said", "kind", "alarms"),
    [
        ({"EHLO": LOGIN, "AUTH": "535 5.7.8 bad"}, "not_before", 1),
        ({"EHLO": LOGIN, "AUTH": "454 4.7.0 too many logins"}, "not_before", 0),
        ({"EHLO": "250 server"}, "not_before", 1),
        ({"RCPT": "450 4.2.0 greylisted"}, "not_before", 0),
        ({"RCPT": "550 5.1.1 nobody"}, "failed", 0),
        ({"content": CUT}, "unknown", 0),
        ({}, "done", 0),
    ],
    ids=["535", "454", "no AUTH", "450", "550", "cut", "taken"],
)
async def test_p02_mail_is_sent_put_off_failed_or_unknown_by_what_was_said(
    desk: Desk, http: httpx2.AsyncClient, said: dict[str, str], kind: str, alarms: int
) -> None:
    run = await mailed(desk)
    user = "me:secret@" if "EHLO" in said else ""
    async with smtp_server(said) as heard:
        result = await perform(desk, run, post_office(http, heard, user))

    effect, call = await became(desk, run)
    incidents = await desk.rows(IncidentRow)
    assert (result.kind, len(incidents)) == (kind, alarms)
    assert (call.status == "open") == (kind in ("not_before", "unknown"))
    assert "secret" not in f"{effect.error} {[one.detail for one in incidents]}"


async def test_p02_mail_that_is_put_off_goes_out_once_it_is_taken(
    desk: Desk, http: httpx2.AsyncClient
) -> None:
    run, said = await mailed(desk), {"RCPT": "450 4.2.0 greylisted"}
    async with smtp_server(said) as heard:
        put_off = await perform(desk, run, post_office(http, heard, ""))
    async with smtp_server({}) as heard:
        taken = await perform(desk, run, post_office(http, heard, ""))

    assert (put_off.kind, taken.kind) == ("not_before", "done")
    assert (await became(desk, run))[0].attempt == 2


async def test_p02_mail_that_is_put_off_for_too_long_fails_in_words(
    desk: Desk, http: httpx2.AsyncClient
) -> None:
    run, said = await mailed(desk), {"RCPT": "450 4.2.0 greylisted"}
    async with smtp_server(said) as heard:
        await perform(desk, run, post_office(http, heard, ""))
        desk.clock.go_on(outcome.TRY_FOR + timedelta(minutes=1))
        result = await perform(desk, run, post_office(http, heard, ""))

    _, call = await became(desk, run)
    assert result.kind == "failed"
    assert "450 4.2.0 greylisted" in str(call.result)
    assert "tried for 1 hour" in str(call.result)
