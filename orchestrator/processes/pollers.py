"""The workers that are running: the pollers Temporal has seen on our task queues."""

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from keyturn.orchestrator.rules.settings import Settings


async def count(
    client: Client, settings: Settings, *, host: str = ""
) -> dict[str, int]:
    """Return the number of pollers by kind: `worker`, `effect worker`.

    `host` counts only those on that host.
    """
    return {
        "worker": await _on(
            client,
            settings.task_queue,
            TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            host,
        ),
        "effect worker": await _on(
            client,
            settings.effects_queue,
            TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            host,
        ),
    }


async def _on(
    client: Client, queue: str, kind: TaskQueueType.ValueType, host: str
) -> int:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=kind,
    )
    answer = await client.workflow_service.describe_task_queue(request)
    # The SDK names itself `process@host`.
    return sum(
        poller.identity.endswith(f"@{host}") or not host for poller in answer.pollers
    )
