"""Secrets that errors quote, planted in full runs: they stand nowhere afterwards.

Not in any column of the database, not in Temporal's histories, not in logs, pages or
the API's answers.
"""

import io
import logging
from collections.abc import AsyncIterator, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import cast

import httpx2
import pytest
import structlog
from sqlalchemy import text
from temporalio.client import WorkflowHandle

from keyturn.activities.llm import route
from keyturn.activities.llm.provider import Provider
from keyturn.activities.llm.simulator import call, raw
from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.processes import logs
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.rules.text import scrub
from keyturn.orchestrator.store.people import sessions
from tests.approvals.people import People
from tests.engine.engine import running_engine
from tests.engine.stage import DONE, Plays, Stage, refund_of
from tests.servers import postgres

# Of no known form: it is known because it is this process's own.
OWN_KEY = "fjord-9f3b-walnut-27"
PASSWORD = "hunter2222"  # noqa: S105 of nobody
TOKEN = "tok9XcVq81LmZ0pA"  # noqa: S105 of nobody
SERVICE_KEY = "sk_live_51Habcdefghij"
SECRETS = (OWN_KEY, PASSWORD, TOKEN, SERVICE_KEY)
# What is found beside a secret shows that the place was reached.
BESIDE = "shard-7"


@dataclass
class Planted:
    """A stage whose log is kept, and the runs that were played on it."""

    stage: Stage
    log: io.StringIO
    runs: list[str] = field(default_factory=list[str])


@pytest.fixture(scope="module")
def log() -> Iterator[io.StringIO]:
    """All that is logged meanwhile, as a worker's process would write it."""
    root, kept = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.write_to(stream, for_good=False)
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.configure(**kept)


@pytest.fixture(scope="module")
async def planted(
    temporal_address: str,
    postgres_server: str,
    postgres_template: str,
    log: io.StringIO,
) -> AsyncIterator[Planted]:
    plays = Plays()
    apps = ("tests.apps.desk", "tests.apps.faulty")
    scrub.know(OWN_KEY)
    with postgres.database(postgres_server, template=postgres_template) as url:
        async with running_engine(
            temporal_address,
            url,
            plays.scenario,
            apps=apps,
            code_pauses_s=(0.1, 0.2),
        ) as engine:
            found = Planted(Stage(engine, plays), log)
            await _key_in_a_transport_error(found)
            await _words_of_a_provider(found)
            await _tools_and_connectors(found)
            await _authors_code(found)
            yield found


async def _key_in_a_transport_error(found: Planted) -> None:
    """The provider's key ends with a line break: the library's error quotes it."""
    engine = found.stage.engine
    providers = cast("MutableMapping[str, Provider]", engine.parts.providers)
    kept = dict(providers)
    made = route.build_providers(
        openai_api_key=f"{OWN_KEY}\n", openai_base_url=f"{engine.simulator}/v1"
    )
    providers["openai"] = made["openai"]
    try:
        row, _ = await found.stage.played(DONE)
    finally:
        providers.update(kept)
        await route.close_providers(made)
    found.runs.append(row.id)


async def _words_of_a_provider(found: Planted) -> None:
    body = f'{{"error": {{"message": "{BESIDE}: Incorrect API key {SERVICE_KEY}"}}}}'
    row, _ = await found.stage.played(raw(body.encode(), status=401))
    found.runs.append(row.id)


async def _tools_and_connectors(found: Planted) -> None:
    """A read, facts, and an effect whose exceptions quote secrets."""
    stage = found.stage
    world = stage.engine.world
    quoted = RuntimeError(f"{BESIDE}: login failed, password={PASSWORD}")
    world.unreadable["quoted"] = [quoted] * 20
    row, _ = await stage.played(call("find_order", {"order_id": "quoted"}), DONE)
    found.runs.append(row.id)
    row, _ = await stage.played(call("refund", refund_of("quoted")), DONE)
    found.runs.append(row.id)
    broken = f"{BESIDE}: 502 to POST /notes, Authorization: Bearer {TOKEN}"
    world.breaks = [RuntimeError(broken)]
    note = call("set_note", {"order_id": "noted", "note": "n"})
    run, _ = await stage.play(note, DONE)
    await stage.engine.until(run, lambda now: now.status == "waiting")
    found.runs.append(run)


async def _authors_code(found: Planted) -> None:
    """An exception of a workflow's own, which quotes `password=hunter2222`."""
    play = found.stage.plays.add(DONE)
    ticket: dict[str, object] = {
        "customer_id": "c1",
        "email": "ann@example.com",
        "text": f"play:{play.name}",
    }
    run = await found.stage.engine.start_workflow("faulty", ticket)
    await found.stage.engine.ended(run, seconds=90)
    found.runs.append(run)


async def test_no_secret_stands_in_any_column_of_the_database(planted: Planted) -> None:
    tables = text(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    read: dict[str, str] = {}
    async with planted.stage.engine.store.read() as session:
        for (name,) in (await session.execute(tables)).all():
            rows = await session.execute(text(f'SELECT t::text FROM "{name}" t'))  # noqa: S608 the database's own names
            read[name] = "\n".join(row for (row,) in rows.all())

    assert {name: _in(found) for name, found in read.items() if _in(found)} == {}
    assert {"attempts", "effects", "runs", "audit"} <= read.keys()
    assert all(BESIDE in read[name] for name in ("attempts", "effects", "runs"))
    assert scrub.GONE in read["attempts"]


async def test_no_secret_stands_in_temporals_histories(planted: Planted) -> None:
    client = planted.stage.engine.parts.client
    found: list[str] = []
    events = 0
    for run in planted.runs:
        for name in (run, f"{run}/act/1"):
            async for event in _all(client.get_workflow_handle(name)):
                # Payloads are neither compressed nor encrypted: they stand in it as text.
                events += 1
                found += _in(event.decode(errors="replace"))

    assert (found, events > 100) == ([], True)


async def _all(handle: "WorkflowHandle[object, object]") -> AsyncIterator[bytes]:
    async for event in handle.fetch_history_events():
        yield event.SerializeToString()


async def test_no_secret_stands_in_the_logs(planted: Planted) -> None:
    said = planted.log.getvalue()

    assert (_in(said), BESIDE in said, scrub.GONE in said) == ([], True, True)


@pytest.mark.parametrize("role", ["agent", "operator"])
async def test_no_secret_stands_on_pages_or_in_the_apis_answers(
    planted: Planted, role: str
) -> None:
    store = planted.stage.engine.store
    app = create_app(Settings(), store, None, planted.stage.engine.signer)
    people = People(store)
    token = await people.token(f"{role}-1", role=role)
    opened = await sessions.begin(
        store, await people.named(f"{role}-1"), instead_of=None
    )
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://keyturn.test"
    ) as http:
        calls = [*_of_operators(role, "/api/v1/"), *_calls(planted.runs)]
        read = [await http.get(path, headers=token) for path in calls]
        http.cookies.set("keyturn", opened.cookie)
        html = {"Accept": "text/html"}
        paths = [*_of_operators(role, "/"), *_pages(planted.runs)]
        pages = [await http.get(path, headers=html) for path in paths]

    refused = [one.url.path for one in (*read, *pages) if one.status_code != 200]
    assert refused == []
    assert [found for one in (*read, *pages) for found in _in(one.text)] == []
    is_told = role == "operator"
    assert (BESIDE in read[-1].text, BESIDE in pages[-1].text) == (is_told, is_told)


def _of_operators(role: str, root: str) -> list[str]:
    return [f"{root}incidents", f"{root}audit"] if role == "operator" else []


def _pages(runs: list[str]) -> list[str]:
    lists = ["/inbox", "/handoffs", "/runs"]
    return [*lists, *(f"/runs/{run}" for run in runs), "/effects"]


def _calls(runs: list[str]) -> list[str]:
    each = [f"/runs/{run}" for run in runs] + [f"/runs/{run}/trace" for run in runs]
    lists = ["/runs", "/effects", "/approvals"]
    effects = f"/effects?run={runs[-2]}"
    return [f"/api/v1{one}" for one in (*lists, *each, effects)]


def _in(said: str) -> list[str]:
    return [secret for secret in SECRETS if secret in said]
