"""A store that is away or busy, as Temporal hears of it: one line, and tried again."""

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
    """Keeps the stack out of what is logged, and sent to Temporal, of a store away.

    Where all activities of a worker fail at once, formatting their stacks twice each
    took a third of its time, which those that went on lacked.
    """

    def intercept_activity(
        self,
        next: ActivityInboundInterceptor,  # noqa: A002 as it is named there
    ) -> ActivityInboundInterceptor:
        """Return what stands before each activity."""
        return _Inbound(next)


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> object:  # noqa: A002 as it is named there
        """Run the activity; what fails for the store's sake fails in one line."""
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
        # Benign is what Temporal's SDK does not log itself, stack and all.
        raise ApplicationError(
            words,
            type=StoreUnavailable.__name__,
            category=ApplicationErrorCategory.BENIGN,
        )
