"""A store that is away fails an activity in one line, without a stack."""

import pytest
from structlog.testing import capture_logs
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from keyturn.activities.store_away import StoreAway
from keyturn.orchestrator.rules.errors import StoreUnavailable


class Fails(ActivityInboundInterceptor):
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def execute_activity(self, input: ExecuteActivityInput) -> object:  # noqa: A002, ARG002 as it is named there
        raise self._error


async def run(error: Exception) -> None:
    inbound = StoreAway().intercept_activity(Fails(error))

    @activity.defn
    async def perform() -> None:
        given = ExecuteActivityInput(fn=perform, args=(), executor=None, headers={})
        await inbound.execute_activity(given)

    await ActivityEnvironment().run(perform)


async def test_a_store_away_is_logged_in_one_line_and_tried_again():
    with capture_logs() as logs, pytest.raises(ApplicationError) as raised:
        await run(StoreUnavailable("The database sqlite:// is away."))

    found = raised.value
    assert (found.type, found.message) == (
        "StoreUnavailable",
        "The database sqlite:// is away.",
    )
    assert not found.non_retryable
    assert found.category == ApplicationErrorCategory.BENIGN
    assert found.__cause__ is None
    assert found.__context__ is None
    (line,) = logs
    assert line["event"] == "activity.store_away"
    assert line["error"] == "The database sqlite:// is away."


async def test_what_else_fails_passes():
    with capture_logs() as logs, pytest.raises(ZeroDivisionError):
        await run(ZeroDivisionError())
    assert logs == []
