"""The tools and the scripted model on every case, through both wire formats.

Keyturn's engine is not in this: a loop that says yes to all stands in for it.
"""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from examples.retail.contracts import Request
from examples.retail.simulation import play
from keyturn.activities.llm.anthropic.messages import AnthropicMessages
from keyturn.activities.llm.openai.chat import OpenAIChat
from keyturn.activities.llm.provider import Provider
from keyturn.activities.llm.simulator import running_simulator
from tests.acceptance.retail_cases import (
    DATABASE,
    FOLDER,
    Case,
    cases,
    needs_cases,
)
from tests.depth import some
from tests.examples.retail.bare_loop import solve
from tests.examples.retail.shop_process import shop_process

pytestmark = needs_cases


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with shop_process(DATABASE) as address:
        yield address


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


# Each case is asked over one of the two formats; over both in a search.
SOLVED = [
    pytest.param(name, case, id=f"{name}-{case.id}")
    for turn, name in enumerate(("openai", "anthropic"))
    for case in some(cases(), of=2, turn=turn)
]


@pytest.fixture(scope="module")
async def simulator() -> AsyncIterator[str]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RETAIL_CASES", str(FOLDER / "cases.jsonl"))
        async with running_simulator(play) as address:
            yield address


@pytest.fixture
async def provider(
    request: pytest.FixtureRequest, simulator: str
) -> AsyncIterator[Provider]:
    name: str = request.param
    if name == "openai":
        made = OpenAIChat(api_key="none", base_url=f"{simulator}/v1")
    else:
        made = AnthropicMessages(api_key="none", base_url=simulator)
    yield made
    await made.aclose()


@pytest.mark.parametrize(("provider", "case"), SOLVED, indirect=["provider"])
async def test_tools_and_script_leave_the_expected_state(
    provider: Provider, url: str, case: Case
):
    tenant = f"{provider.name}-{case.id}"
    request = Request(ticket=case.id, user_id=case.customer, text=case.instruction)

    async with httpx2.AsyncClient(base_url=url, timeout=20) as shop:
        outcome = await solve(provider, shop, tenant, request)
        digest = (await shop.get(f"/{tenant}/state-hash")).json()["state_hash"]

    assert outcome.failures == [action.fails for action in case.actions]
    assert digest == case.expected_state_hash
    handed_over = any(action.kind == "handoff" for action in case.actions)
    assert outcome.resolution.settled == (0 if handed_over else 1)
