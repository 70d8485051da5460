"""One simulator for all tests of a module."""

from collections.abc import AsyncIterator

import pytest

from tests.activities.llm.questions import Desk, open_desk


@pytest.fixture(scope="module")
async def desk(anyio_backend: str) -> AsyncIterator[Desk]:
    assert anyio_backend == "asyncio"
    async with open_desk() as opened:
        yield opened


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
