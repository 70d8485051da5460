"""The services of `keyturn dev` in one process.

Shop, mailbox, simulator and Temporal's UI each have their own port, and are their own
programs elsewhere; three processes would need three times the memory.
"""

import argparse
import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import uvicorn
from aiosmtpd.smtp import SMTP
from starlette.types import ASGIApp, Receive, Scope, Send

from keyturn.activities.llm.simulator.__main__ import load_scenario
from keyturn.activities.llm.simulator.scenarios import bench, default
from keyturn.activities.llm.simulator.server import app as simulator
from keyturn.activities.llm.simulator.thread import is_no_cut, listen
from keyturn.orchestrator.cli.demo import mailbox, shop, temporal_ui
from keyturn.orchestrator.cli.demo.books import Books
from keyturn.orchestrator.cli.demo.mailbox import Acceptor, Box


class ByPort:
    """Passes each request to the application of the port that received it."""

    def __init__(self, applications: Mapping[int, ASGIApp]) -> None:
        """Take the applications by port."""
        self._applications = applications

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._applications[scope["server"][1]](scope, receive, send)


def main() -> None:
    """Run the services that the command line describes, until stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m keyturn.orchestrator.cli.demo.world"
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    for name in ("shop", "mailbox", "smtp"):
        parser.add_argument(f"--{name}-port", type=int, required=True)
    parser.add_argument("--temporal-ui-port", type=int)
    parser.add_argument("--temporal-ui-from", default="")
    parser.add_argument("--simulator-port", type=int)
    parser.add_argument("--scenario", type=load_scenario, action="append", default=[])
    given = parser.parse_args()
    box, books = (
        Box(given.data_dir / "mail"),
        Books(given.data_dir / "shop" / "shop.db"),
    )
    applications: dict[int, ASGIApp] = {
        given.shop_port: _shop(books, given.shop_port),
        given.mailbox_port: mailbox.build(box),
    }
    if given.temporal_ui_port:
        ui = temporal_ui.build(given.temporal_ui_from)
        applications[given.temporal_ui_port] = ui
    if given.simulator_port:
        scenarios = [*given.scenario, bench, default]
        applications[given.simulator_port] = simulator(scenarios)
    asyncio.run(_serve(applications, box, smtp_port=given.smtp_port))
    books.close()


def _shop(books: Books, port: int) -> ASGIApp:
    return shop.build(
        books,
        write_token=os.environ.get(shop.TOKEN) or None,
        statement_token=os.environ.get(shop.STATEMENT_TOKEN) or None,
        url=f"http://{mailbox.HOST}:{port}",
    )


async def _serve(
    applications: Mapping[int, ASGIApp], box: Box, *, smtp_port: int
) -> None:
    logging.getLogger("uvicorn.error").addFilter(is_no_cut)
    sockets = [listen(port=port) for port in applications]
    smtp = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Acceptor(box), enable_SMTPUTF8=True, ident=mailbox.IDENT),
        mailbox.HOST,
        smtp_port,
    )
    config = uvicorn.Config(
        ByPort(applications),
        lifespan="off",
        access_log=False,
        log_level="error",
        ws="none",
        # Longer than clients keep idle connections: none is closed under a request.
        timeout_keep_alive=600,
        timeout_graceful_shutdown=1,
    )
    async with smtp:
        await uvicorn.Server(config).serve(sockets=sockets)


if __name__ == "__main__":
    main()
