"""One model reply: routed, reserved, watched, repaired, or a fallback."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from activities.llm import prices, routing
from activities.llm.errors import (
    ProviderError,
    ProviderRejected,
    UnknownPrice,
)
from activities.llm.provider import Provider
from activities.llm.routing import Route
from orchestrator.contract import FallbackKind
from orchestrator.errors import BudgetExceeded, KeyturnError
from orchestrator.model import Price
from orchestrator.store import meters, runs
from orchestrator.store.engine import Store
from orchestrator.store.steps import Position
from orchestrator.switch import Target, covering, holding
from orchestrator.transcript import ModelReply, ModelRequest, legible

# Tries of one target before the next one is asked.
TRIES = 3
# A provider that asks for a longer pause than this is passed over.
LONGEST_PAUSE_S = 20.0
FIRST_PAUSE_S = 0.5


class Fallback(KeyturnError):
    """No usable reply; the contract's fallback of this kind is taken."""

    def __init__(self, kind: FallbackKind, detail: str, *, left: str = "") -> None:
        """Name the kind, what happened, and what the model left for a person."""
        self.kind: FallbackKind = kind
        self.detail = detail
        self.left = left
        super().__init__(detail)


class Held(KeyturnError):
    """A pause, switch or cancellation came while a model was asked."""

    def __init__(self, by: str) -> None:
        """Name what holds the run, as `stopped_by` will say."""
        self.by = by
        super().__init__(f"Stopped by {by}.")


class Rerouted(KeyturnError):
    """A switch took the model away while it was asked; others may be left."""


@dataclass(frozen=True)
class Answered:
    """A reply with the attempt that paid for it, not yet settled."""

    reply: ModelReply
    route: Route
    attempt: str
    used: meters.Used
    duration_ms: int


# Returns where the run stands now; raises `Held` where it is held.
Watch = Callable[[], Awaitable[Position]]


@dataclass(frozen=True)
class Models:
    """Asks models on behalf of runs, within their budgets."""

    store: Store
    providers: Mapping[str, Provider]
    prices: Mapping[str, Price]

    async def ask(
        self, position: Position, request: ModelRequest, watch: Watch, *, number: int
    ) -> Answered:
        """Return a reply, or raise `Fallback` or `Held`.

        `number` counts the requests of this turn, repairs included. The returned
        attempt is the caller's to settle; failed ones are settled here.
        """
        last: KeyturnError | None = None
        for route in self.routes(position):
            for retry in range(TRIES):
                try:
                    return await self._attempt(
                        position, request, route, watch, number=number * 10 + retry
                    )
                except (ProviderRejected, UnknownPrice) as error:
                    last = error
                    break
                except ProviderError as error:
                    last = error
                    pause = _pause(error, retry)
                    if pause is None or retry == TRIES - 1:
                        break
                    await _sleep(pause, watch)
        raise Fallback("timeout", str(last) if last else "no model could be asked")

    def routes(self, position: Position) -> list[Route]:
        """Return the models to try, in order, less those that switches keep away."""
        run, release = position.run, position.release
        alias = release.safer_model if run.use_safer_model else release.model
        try:
            found = self._resolve(position, self._instead(position, alias))
            found = [
                other for route in found for other in self._replaced(position, route)
            ]
        except KeyturnError as error:
            raise Fallback("timeout", str(error)) from error
        allowed = [route for route in found if not self._is_off(position, route)]
        if not allowed:
            by = next(filter(None, (self._off(position, r) for r in found)))
            raise Held(f"switch {by}")
        return allowed

    def _resolve(self, position: Position, alias: str) -> tuple[Route, ...]:
        return routing.resolve(position.release.targets(alias), self.providers)

    def _replaced(self, position: Position, route: Route) -> tuple[Route, ...]:
        """Return the models that a switch puts in the place of one, or itself."""
        named = self._instead(position, route.target, provider=route.provider.name)
        if named == route.target:
            named = self._instead(position, route.model, provider=route.provider.name)
        is_same = named in (route.target, route.model)
        return (route,) if is_same else self._resolve(position, named)

    def _instead(
        self, position: Position, model: str, *, provider: str | None = None
    ) -> str:
        """Return what the latest switch says to use in the place of `model`."""
        run = position.run
        target = Target(
            tenant=run.tenant, workflow=run.workflow, model=model, provider=provider
        )
        for switch in covering(position.switches, target):
            # One for every model has been followed when the alias was resolved.
            is_named = switch.scope.model is not None or (
                switch.scope.provider is not None
            )
            if provider is not None and not is_named:
                continue
            if switch.mode == "use_model" and switch.value:
                model = switch.value
        return model

    def _is_off(self, position: Position, route: Route) -> bool:
        return self._off(position, route) is not None

    def _off(self, position: Position, route: Route) -> str | None:
        for name in (route.model, route.target):
            target = Target(
                tenant=position.run.tenant,
                workflow=position.run.workflow,
                model=name,
                provider=route.provider.name,
            )
            found = holding(position.switches, target)
            if found is not None:
                return found.id
        return None

    async def _attempt(
        self,
        position: Position,
        request: ModelRequest,
        route: Route,
        watch: Watch,
        *,
        number: int,
    ) -> Answered:
        request = request.model_copy(update={"model": route.model})
        reserved = await self._reserve(position, request, route, number=number)
        started = time.monotonic()
        try:
            reply = await _watched(
                route.provider.reply(
                    request,
                    timeout_s=position.release.model_timeout.total_seconds(),
                ),
                lambda: self._look(watch, route),
            )
        except ProviderError as error:
            await meters.settle(
                self.store,
                reserved.attempt,
                _charged(reserved, error) if error.sent else None,
            )
            raise
        except (Held, Rerouted, asyncio.CancelledError):
            # The provider may have worked on it; it is charged until known.
            await meters.settle(self.store, reserved.attempt, _whole(reserved, "held"))
            raise
        reply = legible(reply)
        used = self._used(route, reply, reserved)
        elapsed = int((time.monotonic() - started) * 1000)
        return Answered(reply, route, reserved.attempt, used, elapsed)

    async def _look(self, watch: Watch, route: Route) -> None:
        off = self._off(await watch(), route)
        if off is not None:
            raise Rerouted(f"Switch {off} took {route.target} away.")

    async def _reserve(
        self, position: Position, request: ModelRequest, route: Route, *, number: int
    ) -> meters.Reservation:
        run = position.run
        bound = prices.input_tokens_bound(request)
        wanted = meters.Reservation(
            attempt=runs.new_id("try"),
            run=run.id,
            turn=position.turn,
            number=number,
            provider=route.provider.name,
            model=route.model,
            tokens=bound + request.max_output_tokens,
            cost_microusd=prices.worst_case_microusd(
                route.provider.name,
                route.model,
                bound,
                request.max_output_tokens,
                price=self._price(route),
            ),
        )
        scopes = meters.bounds(
            position.release.budget,
            run=run.id,
            workflow=run.workflow,
            tenant=run.tenant,
            now=position.now,
        )
        try:
            await meters.reserve(self.store, wanted, scopes)
        except BudgetExceeded as error:
            raise Fallback("budget", str(error)) from error
        return wanted

    def _used(
        self, route: Route, reply: ModelReply, reserved: meters.Reservation
    ) -> meters.Used:
        usage = reply.usage
        if usage is None:
            return _whole(reserved, None).model_copy(update={"reply": _kept(reply)})
        return meters.Used(
            input_tokens=usage.input_tokens
            + usage.cache_read_tokens
            + usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
            cost_microusd=prices.cost_microusd(
                route.provider.name, route.model, usage, price=self._price(route)
            ),
            reply=_kept(reply),
        )

    def _price(self, route: Route) -> Price | None:
        return self.prices.get(route.target)


async def _watched(
    reply: Awaitable[ModelReply], look: Callable[[], Awaitable[None]]
) -> ModelReply:
    """Await a reply; once a second look whether the run is held."""
    task = asyncio.ensure_future(reply)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=1.0)
            if done:
                return task.result()
            await look()
    finally:
        task.cancel()


async def _sleep(seconds: float, watch: Watch) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        await asyncio.sleep(min(1.0, left))
        await watch()


def _pause(error: ProviderError, retry: int) -> float | None:
    """Return how long to wait before the same target is tried again; None: pass on."""
    asked = getattr(error, "retry_after_s", None)
    if asked is None:
        return FIRST_PAUSE_S * 2**retry
    return float(asked) if asked <= LONGEST_PAUSE_S else None


def _charged(reserved: meters.Reservation, error: ProviderError) -> meters.Used:
    return _whole(reserved, str(error))


def _whole(reserved: meters.Reservation, error: str | None) -> meters.Used:
    return meters.Used(
        input_tokens=reserved.tokens,
        output_tokens=0,
        cost_microusd=reserved.cost_microusd,
        error=error,
    )


def _kept(reply: ModelReply) -> dict[str, JsonValue]:
    return {
        "text": reply.text,
        "refusal": reply.refusal,
        "calls": [
            {"id": c.id, "name": c.name, "arguments": c.arguments} for c in reply.calls
        ],
        "stop": reply.stop,
        "model": reply.model,
        "request_id": reply.request_id,
    }
