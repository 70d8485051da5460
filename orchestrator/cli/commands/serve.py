"""`keyturn serve`: the web process."""

import asyncio

from orchestrator.cli import logs, serve
from orchestrator.rules import settings


def main() -> None:
    """Serve the pages and the HTTP API on KEYTURN_HOST and KEYTURN_PORT."""
    logs.configure()
    asyncio.run(serve.serve(settings.read()))
