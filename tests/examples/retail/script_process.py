"""The scripted model as a process, playing recorded cases."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.examples.retail.shop_process import ROOT

SIMULATOR = "keyturn.activities.llm.simulator"
SCENARIO = "examples.retail.simulation:play"


@contextmanager
def script_process(cases: Path, scenario: str = SCENARIO) -> Generator[str]:
    """Give the URL of a simulator that plays these cases; it ends with the block."""
    command = [sys.executable, "-m", SIMULATOR, "--scenario", scenario]
    env = {**os.environ, "RETAIL_CASES": str(cases)}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE) as model:
        try:
            assert model.stdout is not None
            yield json.loads(model.stdout.readline())["url"]
        finally:
            model.terminate()
            model.wait(timeout=10)
