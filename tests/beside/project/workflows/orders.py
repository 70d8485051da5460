"""A workflow of this project, which has nothing to do with Keyturn."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.stock import reserve


@workflow.defn(name="Order")
class Order:
    """Reserves what was ordered."""

    @workflow.run
    async def run(self, item: str) -> str:
        """Return what the stock answered."""
        return await workflow.execute_activity(
            reserve, item, start_to_close_timeout=timedelta(seconds=30)
        )
