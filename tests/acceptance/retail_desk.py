"""The retail desk in full: Keyturn's processes, the shop's, the scripted model's."""

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from pydantic import JsonValue

from tests.acceptance.installation import ENDED, Installation, Run, installation
from tests.acceptance.retail_cases import DATABASE, FOLDER
from tests.examples.retail.script_process import SCENARIO, script_process
from tests.examples.retail.shop_process import shop_process

WRITERS_ALONE = "only effect workers know it"
ALL_DONE_S = 600.0

Providers = Callable[[str], Mapping[str, str]]


def openai(simulator: str) -> Mapping[str, str]:
    return {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": f"{simulator}/v1"}


def anthropic(simulator: str) -> Mapping[str, str]:
    return {"ANTHROPIC_API_KEY": "none", "ANTHROPIC_BASE_URL": simulator}


@dataclass(frozen=True)
class Setup:
    """What a desk works on and with."""

    database: Path = DATABASE
    script: Path = FOLDER / "cases.jsonl"
    providers: Providers = openai
    app: str = "examples.retail"
    scenario: str = SCENARIO


@dataclass(frozen=True)
class Desk:
    """An installation that serves the retail desk, and its shop."""

    installed: Installation
    shop: httpx2.Client

    def begin(self, *, case: str, customer: str, text: str) -> Run:
        """Start a case's run, in a tenant of its own."""
        body: dict[str, JsonValue] = {
            "workflow": "retail-desk",
            "tenant": case,
            "source": "acceptance",
            "external_id": case,
            "input": {"ticket": case, "user_id": customer, "text": text},
        }
        return self.installed.start_run(body)

    def state_hash(self, case: str) -> str:
        """Give the hash of the case's shop as it is now."""
        return str(self._seen(case, "state-hash")["state_hash"])

    def changes(self, case: str) -> Mapping[str, JsonValue]:
        """Give what differs from the shop's beginning."""
        return self._seen(case, "changes")

    def keys(self, case: str) -> list[str]:
        """Give the effect keys of all writes that reached the case's shop."""
        items: list[dict[str, JsonValue]] = self.shop.get(f"/{case}/writes").json()[
            "items"
        ]
        return [str(write["key"]) for write in items]

    def until_all_ended(self, *, pause_s: float = 0.5) -> Iterator[list[Run]]:
        """Give the runs again and again, until all have ended."""
        deadline = time.monotonic() + ALL_DONE_S
        while time.monotonic() < deadline:
            runs = self.installed.runs()
            if all(run.status in ENDED for run in runs):
                return
            yield runs
            time.sleep(pause_s)  # a person does not poll faster either
        runs = self.installed.runs()
        still = [(r.external_id, r.status) for r in runs if r.status not in ENDED]
        raise AssertionError(f"not ended after {ALL_DONE_S} s: {still}")

    def approve_all(self, *, only: set[str] | None = None) -> None:
        """Say yes to all that waits; with `only`, in these runs alone."""
        for one in self.installed.pending():
            if only is None or one.run in only:
                self.installed.approve(one)

    def endings(self) -> dict[str, str]:
        """Give how each case's run ended."""
        return {run.external_id: run.status for run in self.installed.runs()}

    def _seen(self, case: str, what: str) -> dict[str, JsonValue]:
        found: dict[str, JsonValue] = self.shop.get(f"/{case}/{what}").json()
        return found


@contextmanager
def desk(folder: Path, temporal: str, setup: Setup) -> Generator[Desk]:
    """Give a desk; all its processes end with the block."""
    with (
        shop_process(setup.database, write_token=WRITERS_ALONE) as shop,
        script_process(setup.script, setup.scenario) as simulator,
        httpx2.Client(base_url=shop, timeout=30) as client,
    ):
        settings = {
            "KEYTURN_APPS": setup.app,
            "KEYTURN_SERVICES": json.dumps({"shop": shop}),
            "KEYTURN_SERVICE_KEYS": json.dumps({"shop": WRITERS_ALONE}),
            **setup.providers(simulator),
        }
        with installation(folder, temporal, settings) as installed:
            yield Desk(installed, client)
