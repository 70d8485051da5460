"""Runs this project's own workflow beside Keyturn's, in one sandboxed worker.

`python run.py ADDRESS` prints what the workflow returned, and where modules came from.
"""

import asyncio
import os
import sys

import activities
import workflows
from activities.stock import reserve
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker
from workflows.orders import Order

import keyturn
from keyturn.orchestrator.processes.worker import sandbox
from keyturn.orchestrator.rules.contract import registry

QUEUE = "beside"


async def main(address: str) -> None:
    """Run one order, with the shop's workflow and the support desk's on the same worker."""
    apps = registry.load(["shop", "keyturn.workflows.support"])
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[Order, *apps.workflows.values()],
        activities=[reserve],
        workflow_runner=sandbox(apps),
    ):
        said: str = await client.execute_workflow(
            Order.run, "a lamp", id="order-1", task_queue=QUEUE
        )
    print(said)
    print(*sorted(apps.workflows))
    print(*(str(one.__file__) for one in (workflows, activities, keyturn)), sep="\n")


asyncio.run(main(sys.argv[1]))
sys.stdout.flush()
# temporalio may abort while the interpreter ends, after all work is done.
os._exit(0)
