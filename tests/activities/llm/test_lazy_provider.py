"""An SDK is loaded once, when it is first asked; loading counts against the time."""

import asyncio
from dataclasses import dataclass, field

import pytest

from keyturn.activities.llm import route
from keyturn.activities.llm.errors import ProviderUnavailable
from keyturn.activities.llm.lazy_provider import Loading, load_first
from keyturn.activities.llm.provider import Provider
from keyturn.orchestrator.rules.contract.model import Alias
from keyturn.orchestrator.rules.text.transcript import ModelReply, ModelRequest

REQUEST = ModelRequest(model="m", system="", messages=())
REPLY = ModelReply(text="yes", stop="end", model="m")


@dataclass
class Slow:
    """A provider that counts how often it is loaded."""

    name: str = "slow"
    loads: int = 0
    given_s: list[float] = field(default_factory=list[float])
    is_closed: bool = False

    def load(self) -> "Slow":
        self.loads += 1
        return self

    async def reply(self, request: ModelRequest, *, timeout_s: float) -> ModelReply:
        assert request is REQUEST
        self.given_s.append(timeout_s)
        return REPLY

    async def aclose(self) -> None:
        self.is_closed = True


async def test_many_who_ask_at_once_load_it_once_and_within_their_time():
    slow = Slow()
    loading = Loading("slow", slow.load)

    replies = await asyncio.gather(
        *(loading.reply(REQUEST, timeout_s=9) for _ in range(5))
    )
    await loading.aclose()

    assert (replies, slow.loads, slow.is_closed) == ([REPLY] * 5, 1, True)
    assert all(given < 9 for given in slow.given_s)


async def test_what_is_never_asked_is_not_loaded():
    slow = Slow()
    loading = Loading("slow", slow.load)

    await loading.aclose()

    assert (slow.loads, slow.is_closed) == (0, False)


@pytest.mark.parametrize(
    ("targets", "loaded"),
    [
        (("openai/a", "anthropic/b"), ["openai"]),
        (("elsewhere/a", "anthropic/b"), ["anthropic"]),
        (("elsewhere/a",), []),
    ],
)
async def test_a_worker_loads_what_its_aliases_ask_first(
    targets: tuple[str, ...], loaded: list[str]
):
    two = {name: Slow(name) for name in ("openai", "anthropic")}
    providers = {name: Loading(name, one.load) for name, one in two.items()}

    await load_first(providers, [Alias(name="standard", targets=targets)])

    assert [name for name, one in two.items() if one.loads] == loaded


async def test_the_adapters_are_those_of_their_names():
    made = route.build_providers(openai_api_key="a", anthropic_api_key="b")

    adapters = [await one.loaded() for one in made.values() if isinstance(one, Loading)]
    await route.close_providers(made)

    assert [one.name for one in adapters] == list(made) == ["openai", "anthropic"]


async def test_what_cannot_be_loaded_was_not_asked():
    def fail() -> Provider:
        raise ValueError("no such address")

    with pytest.raises(ProviderUnavailable, match="no such address") as caught:
        await Loading("slow", fail).reply(REQUEST, timeout_s=9)

    assert not caught.value.sent
    aliases = [Alias(name="standard", targets=("slow/a",))]
    with pytest.raises(ProviderUnavailable, match="no such address"):
        await load_first({"slow": Loading("slow", fail)}, aliases)
