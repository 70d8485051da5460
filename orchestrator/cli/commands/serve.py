"""`keyturn serve`: the web process."""

import asyncio

from keyturn.orchestrator.processes import logs, web
from keyturn.orchestrator.rules import settings


def main() -> None:
    """Serve the pages and the HTTP API on KEYTURN_HOST and KEYTURN_PORT."""
    logs.configure()
    asyncio.run(web.serve(settings.read()))
