"""A desk for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.activities.tools.desk import Desk


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await desk.client.aclose()
    desk.books.close()
