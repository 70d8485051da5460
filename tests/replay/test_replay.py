"""Histories of earlier code, replayed by today's: a change of commands fails here."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from keyturn.orchestrator.processes.connection import CONVERTER
from keyturn.orchestrator.processes.worker import SANDBOX
from keyturn.orchestrator.rules.contract import registry
from keyturn.workflows.act import ActLoop
from keyturn.workflows.compensate import Compensate
from tests.replay.record import APPS, FOLDER, HISTORIES, SHIPPED

STORED = sorted(HISTORIES.glob("*/*.json"))


def replayer() -> Replayer:
    found = [registry.load(apps).workflows.values() for apps in (APPS, SHIPPED)]
    return Replayer(
        workflows=[*found[0], *found[1], ActLoop, Compensate],
        workflow_runner=SANDBOX,
        data_converter=CONVERTER,
    )


def stored(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text(encoding="utf-8"))


def test_every_scene_has_a_history() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == {
        path.name for path in STORED
    }


@pytest.fixture(scope="module")
async def replayed() -> dict[str, Exception | None]:
    """What failed of each history, by its run: one worker replays them all."""

    async def each() -> AsyncIterator[WorkflowHistory]:
        for path in STORED:
            yield stored(path)

    async with replayer().workflow_replay_iterator(each()) as results:
        return {one.history.run_id: one.replay_failure async for one in results}


@pytest.mark.parametrize("path", STORED, ids=lambda at: f"{at.parent.name}-{at.stem}")
async def test_a_history_replays(
    path: Path, replayed: dict[str, Exception | None]
) -> None:
    assert replayed[stored(path).run_id] is None


async def test_each_history_is_of_a_run_of_its_own(
    replayed: dict[str, Exception | None],
) -> None:
    assert len(replayed) == len(STORED)
