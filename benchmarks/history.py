"""How large histories are, over a whole continue-as-new chain and its children."""

from temporalio.client import Client


async def chain_bytes(client: Client, workflow_id: str, first_run: str) -> int:
    """Return the bytes of every execution of a chain; `describe` shows one alone."""
    total, run = 0, first_run
    while run:
        handle = client.get_workflow_handle(workflow_id, run_id=run)
        shown = await handle.describe()
        total += shown.raw_description.workflow_execution_info.history_size_bytes
        last = [event async for event in handle.fetch_history_events()][-1]
        run = last.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return total


async def first_child_run(client: Client, workflow_id: str) -> str:
    """Return the first execution of the only child that a workflow started."""
    handle = client.get_workflow_handle(workflow_id)
    async for event in handle.fetch_history_events():
        started = event.child_workflow_execution_started_event_attributes
        if started.workflow_execution.run_id:
            return started.workflow_execution.run_id
    raise LookupError(f"{workflow_id} has started no child")
