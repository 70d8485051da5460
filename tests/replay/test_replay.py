"""Histories of earlier code, replayed by today's: a change of commands fails here."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from orchestrator import registry
from orchestrator.cli.connection import CONVERTER
from orchestrator.cli.worker import SANDBOX
from tests.replay.record import APPS, FOLDER, SHIPPED
from workflows.act import ActLoop
from workflows.compensate import Compensate

HISTORIES = sorted(FOLDER.glob("*.json"))


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
    assert len(HISTORIES) >= 14


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_history_replays(path: Path) -> None:
    history = stored(path)

    result = await replayer().replay_workflow(history, raise_on_replay_failure=False)

    assert result.replay_failure is None
