"""A shop process of one's own, for as long as a test needs it."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]


@contextmanager
def shop_process(database: Path, write_token: str = "") -> Generator[str, None, None]:
    """Give the URL of a shop over this database; it ends with the block."""
    command = [sys.executable, "-m", "examples.retail.shop", "--db", str(database)]
    command += ["--customer-header", "Keyturn-Customer"]
    env = {**os.environ, "SHOP_WRITE_TOKEN": write_token}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE) as shop:
        try:
            assert shop.stdout is not None
            yield json.loads(shop.stdout.readline())["url"]
        finally:
            shop.terminate()
            shop.wait(timeout=10)
