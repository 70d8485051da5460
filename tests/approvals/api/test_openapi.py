"""The OpenAPI document against the server: no 5xx, no answer that it does not name."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import load_all_checks
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.rules.text import json_object
from tests.approvals.desk import RELEASE, Desk
from tests.approvals.people import People
from tests.databases import patient
from tests.depth import SEARCHES

DOCUMENT = "/api/v1/openapi.json"
# As many as the gate has time for; KEYTURN_SEARCH=1 tries more.
EXAMPLES = 16 if SEARCHES else 2
# It streams for as long as its run is open; test_events speaks of it.
STREAM = "/api/v1/runs/{id}/events"
# Well-formed data may still be refused: by the workflow's own schema, or by its state.
LEFT_OUT: list[Any] = [cast("Any", checks).positive_data_acceptance]
TUNED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@dataclass(frozen=True)
class Served:
    """A server with somebody's token, and ids of objects that exist, by path."""

    address: str
    headers: dict[str, str]
    known: dict[str, dict[str, str]]
    fields: dict[str, str]


async def _prepare(
    url: str,
) -> tuple[dict[str, str], dict[str, dict[str, str]], dict[str, str]]:
    store = patient(url)
    desk = Desk(store)
    await desk.open()
    headers = await People(store).token("ada", role="admin")
    run = await desk.run()
    approval = await desk.approval(run)
    effect = await desk.effect(run)
    await store.close()
    known = {
        "runs": {"id": run.id},
        "approvals": {"id": approval.id},
        "effects": {"key": effect.key},
        "switches": {"id": "refunds"},
        "contracts": {"name": "support"},
        "tools": {"name": "refund_order"},
        "releases": {"hash": RELEASE.hash()},
    }
    assert approval.binding is not None
    return headers, known, {"binding": approval.binding, "workflow": "support"}


@pytest.fixture
def tables_url(postgres_tables: str) -> str:
    """The stricter database, which refuses more of what a value may be."""
    return postgres_tables


@pytest.fixture
def served(tables_url: str) -> Iterator[Served]:
    """The application on a loop and a socket of its own."""
    headers, known, fields = asyncio.run(_prepare(tables_url))
    store = patient(tables_url)
    app = create_app(Settings(), store, None, Signer(new_key()))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))

    async def serve() -> None:
        await server.serve([listening])
        await store.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    yield Served(address, headers, known, fields)
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_is_one_that_the_document_names(
    served: Served, mode: GenerationMode
) -> None:
    load_all_checks()
    schema: Any = schemathesis.openapi.from_url(f"{served.address}{DOCUMENT}")

    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path != STREAM:
            _try(operation, served, mode)


def _try(
    operation: Any,
    served: Served,
    mode: GenerationMode,
) -> None:
    @TUNED
    @given(case=operation.as_strategy(generation_mode=mode), is_real=st.booleans())
    def answers(case: Any, is_real: bool) -> None:  # noqa: FBT001 as above; drawn
        if is_real and mode == GenerationMode.POSITIVE:
            _name_what_exists(case, served)
        case.call_and_validate(headers=served.headers, excluded_checks=LEFT_OUT)

    answers()


def _name_what_exists(case: Any, served: Served) -> None:
    """Put what exists in the place of what was made up."""
    noun = case.operation.path.split("/")[3].partition(":")[0]
    case.path_parameters.update(
        {
            name: value
            for name, value in served.known.get(noun, {}).items()
            if name in case.path_parameters
        }
    )
    body = case.body if json_object.is_object(case.body) else {}
    body.update({name: v for name, v in served.fields.items() if name in body})
