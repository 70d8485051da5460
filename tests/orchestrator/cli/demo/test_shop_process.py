"""The demo shop as a process: it keeps what it answered, whatever happens to it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.orchestrator.cli.demo.counter_calls import STATEMENT, TOKEN, Asking, refund

DONE = [("after", True), ("cut", True), ("before", False), ("busy", False)]


@contextmanager
def shop_process(folder: Path) -> Generator[tuple[str, "subprocess.Popen[bytes]"]]:
    command = [sys.executable, "-m", "keyturn.orchestrator.cli.demo.shop", "--faults"]
    command += ["--data-dir", str(folder)]
    env = {**os.environ, "SHOP_WRITE_TOKEN": TOKEN}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as shop:
        try:
            assert shop.stdout is not None
            yield json.loads(shop.stdout.readline())["url"], shop
        finally:
            shop.terminate()
            shop.wait(timeout=10)


async def test_killed_shop_has_its_refunds_and_keys_again(tmp_path: Path) -> None:
    with shop_process(tmp_path) as (url, process):
        async with httpx2.AsyncClient(base_url=url) as client:
            first = await Asking(client).post("/refunds", refund(), "k1")
        process.send_signal(signal.SIGKILL)
        process.wait()

    with shop_process(tmp_path) as (url, _):
        async with httpx2.AsyncClient(base_url=url) as client:
            again = await Asking(client).post("/refunds", refund(), "k1")
            statement = await Asking(client).get(STATEMENT)

    assert first.json() == again.json()
    assert len(statement.json()["lines"]) == 1


@pytest.mark.parametrize(("kind", "is_done"), DONE, ids=[kind for kind, _ in DONE])
async def test_fault_leaves_open_what_happened(
    tmp_path: Path,
    kind: str,
    is_done: bool,  # noqa: FBT001 a parameter of the table
) -> None:
    with shop_process(tmp_path) as (url, _):
        async with httpx2.AsyncClient(base_url=url) as client:
            mira = Asking(client)
            await client.put("/faults", json={"kind": kind})
            try:
                status = (await mira.post("/refunds", refund(), "k1")).status_code
            except httpx2.RemoteProtocolError:
                status = 0
            found = (await mira.get("/refunds/k1")).json()["refund"]
            calm = await mira.post("/refunds", refund(), "k1")

    assert status in (0, 429, 500)
    assert (found is not None) == is_done
    assert calm.status_code == 201
