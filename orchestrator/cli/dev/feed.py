"""The demo tickets, fed through the HTTP API as a help desk would."""

import httpx2

from keyturn.orchestrator.cli.demo.tickets import SOURCE, TICKETS, DemoTicket
from keyturn.orchestrator.processes.exit_status import Ended

WORKFLOW = "support-ticket"
NEW = 202
REQUEST_S = 10.0


async def feed(client: httpx2.AsyncClient, url: str, token: str) -> int:
    """Start a run for each ticket that was not fed before; return how many were new.

    Tickets have external ids, so that the next start completes an interrupted one.
    """
    statuses = [await _start(client, url, token, ticket) for ticket in TICKETS]
    return statuses.count(NEW)


async def _start(
    client: httpx2.AsyncClient, url: str, token: str, ticket: DemoTicket
) -> int:
    answer = await client.post(
        f"{url}/api/v1/runs",
        headers={"Authorization": f"Bearer {token}"},
        timeout=REQUEST_S,
        json={
            "workflow": WORKFLOW,
            "source": SOURCE,
            "external_id": ticket.external_id,
            "input": ticket.input(),
        },
    )
    if not answer.is_success:
        raise Ended(f"The demo tickets could not be fed: {answer.text}")
    return answer.status_code
