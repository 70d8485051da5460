"""The shared servers answer, and tests of one run do not meet in them."""

from datetime import timedelta

import psycopg
import pytest
from playwright.async_api import Page
from temporalio import workflow
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.servers.own import Own


@workflow.defn(name="sleeper")
class Sleeper:
    @workflow.run
    async def run(self, length: timedelta) -> str:
        if length:
            await workflow.sleep(length)
        return "slept"


async def _sleep(client: Client, task_queue: str, length: timedelta) -> str:
    async with Worker(
        client,
        task_queue=task_queue,
        workflows=[Sleeper],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        return await client.execute_workflow(
            Sleeper.run, length, id=task_queue, task_queue=task_queue
        )


async def test_dev_server_runs_a_workflow(
    temporal_client: Client, task_queue: str
) -> None:
    assert await _sleep(temporal_client, task_queue, timedelta()) == "slept"


async def test_test_server_skips_a_month(
    time_skipping: WorkflowEnvironment, task_queue: str
) -> None:
    slept = await _sleep(time_skipping.client, task_queue, timedelta(days=30))

    assert slept == "slept"


async def test_own_temporal_keeps_its_data_over_a_crash(own_temporal: Own) -> None:
    client = await Client.connect(own_temporal.address)
    await client.start_workflow("nobody", id="kept", task_queue="nobody")

    own_temporal.kill()
    own_temporal.start()

    assert (await client.get_workflow_handle("kept").describe()).id == "kept"


@pytest.mark.parametrize("turn", [1, 2])
def test_postgres_database_is_new_for_each_test(postgres_url: str, turn: int) -> None:
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE seen (turn int)")
        connection.execute("INSERT INTO seen VALUES (%s)", [turn])

        assert connection.execute("SELECT count(*) FROM seen").fetchone() == (1,)


def test_own_postgres_keeps_its_data_over_a_crash(own_postgres: Own) -> None:
    url = own_postgres.address.replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept ()")

    own_postgres.kill()
    own_postgres.start()

    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_database_url_names_both_databases(database_url: str) -> None:
    assert database_url.startswith(("sqlite+aiosqlite:///", "postgresql+psycopg://"))


async def test_browser_runs_scripts(page: Page) -> None:
    await page.set_content("<p id=words></p>")

    await page.evaluate("document.getElementById('words').append(String(6 * 7))")

    assert await page.inner_text("#words") == "42"
