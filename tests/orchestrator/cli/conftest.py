"""A web server with one workflow, and an admin who runs commands against it."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.orchestrator.cli.program import Keyturn, Web, here, serving
from tests.orchestrator.cli.support_ticket import register


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    keyturn = here(tmp_path_factory.mktemp("web"))
    assert keyturn("db", "upgrade").status == 0
    asyncio.run(register(keyturn.environment["KEYTURN_DATABASE_URL"]))
    with serving(keyturn) as started:
        yield started


@pytest.fixture
def admin(web: Web) -> Keyturn:
    return web.as_("admin")
