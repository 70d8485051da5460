"""`keyturn serve`: the web process."""

import asyncio

from keyturn.orchestrator.processes import logs, web
from keyturn.orchestrator.rules import settings


def main() -> None:
    """Run the web server on KEYTURN_HOST and KEYTURN_PORT: the pages and the HTTP API."""
    logs.configure()
    asyncio.run(web.serve(settings.read()))
