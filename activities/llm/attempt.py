"""One attempt at a model's reply: watched, timed, and its outcome."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from keyturn.activities.llm.errors import (
    MalformedReply,
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
    RateLimited,
    UnfinishedReply,
    UnknownPrice,
)
from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.rules.text.transcript import ModelReply, Usage
from keyturn.orchestrator.store.budgets import reservations, settlement
from keyturn.orchestrator.store.turns.position import Position

# A provider that asks for a longer pause is skipped.
LONGEST_PAUSE_S = 20.0
FIRST_PAUSE_S = 0.5

# The names under which failed attempts are counted.
FAILURES: Mapping[type[KeyturnError], str] = {
    RateLimited: "rate_limited",
    ProviderRejected: "rejected",
    ProviderUnavailable: "unavailable",
    MalformedReply: "malformed",
    UnfinishedReply: "unfinished",
    UnknownPrice: "no_price",
}


@dataclass(frozen=True)
class Answered:
    """A reply with the attempt that paid for it, settled and stored."""

    reply: ModelReply
    provider: str
    attempt: str
    used: settlement.Used
    duration_ms: int


# Returns the run's current position; raises `Held` where it is held.
Watch = Callable[[], Awaitable[Position]]


async def watched(
    reply: Awaitable[ModelReply], look: Callable[[], Awaitable[None]]
) -> ModelReply:
    """Await a reply; check once a second whether the run is held."""
    task = asyncio.ensure_future(reply)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=1.0)
            if done:
                return task.result()
            await look()
    finally:
        task.cancel()


async def sleep_watched(seconds: float, watch: Watch) -> None:
    """Sleep; check each second whether the run was stopped."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        await asyncio.sleep(min(1.0, left))
        await watch()


def pause_s(error: ProviderError, retry: int) -> float | None:
    """Return how long to wait before retrying the target; None: try the next one."""
    asked = getattr(error, "retry_after_s", None)
    if asked is None:
        return FIRST_PAUSE_S * 2**retry
    return float(asked) if asked <= LONGEST_PAUSE_S else None


def stored(kept: settlement.Stored) -> Answered:
    """Return a stored reply as it was when it arrived."""
    return Answered(
        reply=ModelReply.model_validate(kept.reply),
        provider=kept.provider,
        attempt=kept.attempt,
        used=kept.used,
        duration_ms=kept.duration_ms,
    )


def kind_of(error: KeyturnError) -> str:
    """Return the kind of a failure, as counters name it."""
    return FAILURES.get(type(error), "other")


def is_senseless(usage: Usage, reply: ModelReply) -> bool:
    """Return whether a count is impossible: no input, or words without tokens."""
    read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    said = bool(reply.text or reply.calls or reply.refusal)
    return read == 0 or (said and usage.output_tokens == 0)


def worst_case(
    reserved: reservations.Reservation, error: str | None
) -> settlement.Used:
    """Return the charge where the usage is unknown: the whole reservation."""
    return settlement.Used(
        input_tokens=reserved.tokens,
        output_tokens=0,
        cost_microusd=reserved.cost_microusd,
        error=error,
    )


def as_kept(reply: ModelReply) -> dict[str, JsonValue]:
    """Return a reply as the record stores it."""
    return {
        "text": reply.text,
        "refusal": reply.refusal,
        "calls": [
            {"id": c.id, "name": c.name, "arguments": c.arguments} for c in reply.calls
        ],
        "stop": reply.stop,
        "stop_raw": reply.stop_raw,
        "fault": reply.fault,
        "model": reply.model,
        "request_id": reply.request_id,
    }
