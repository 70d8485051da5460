"""`keyturn serve`: the web process."""

import asyncio

from orchestrator import settings
from orchestrator.cli import logs, serve


def main() -> None:
    """Serve the pages and the HTTP API on KEYTURN_HOST and KEYTURN_PORT."""
    logs.configure()
    asyncio.run(serve.serve(settings.read()))
