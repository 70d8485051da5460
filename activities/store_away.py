"""Reports an unavailable or busy store to Temporal in one line, for a retry."""

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from keyturn.orchestrator.rules.errors import StoreUnavailable

log = structlog.get_logger()


class StoreAway(Interceptor):
    """Keeps the stack of an unavailable store's error out of logs and Temporal.

    Where all activities of a worker fail at once, formatting their stacks twice each
    took a third of its time, which the other activities lacked.
    """

    def intercept_activity(
        self,
        next: ActivityInboundInterceptor,  # noqa: A002 the base class's name for it
    ) -> ActivityInboundInterceptor:
        """Return the interceptor of each activity."""
        return _Inbound(next)


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> object:  # noqa: A002 the base class's name for it
        """Run the activity; a failure of the store is reported in one line."""
        try:
            return await super().execute_activity(input)
        except StoreUnavailable as error:
            words = str(error)
        info = activity.info()
        log.warning(
            "activity.store_away",
            activity=info.activity_type,
            workflow=info.workflow_id,
            attempt=info.attempt,
            error=words,
        )
        # Temporal's SDK does not log benign errors itself, with their stack.
        raise ApplicationError(
            words,
            type=StoreUnavailable.__name__,
            category=ApplicationErrorCategory.BENIGN,
        )
