"""One model reply: routed, reserved, watched, or given up."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from temporalio import activity

from keyturn.activities import targets
from keyturn.activities.llm import attempt, prices
from keyturn.activities.llm.attempt import Answered, Watch
from keyturn.activities.llm.errors import (
    MalformedReply,
    ProviderError,
    ProviderRejected,
    UnfinishedReply,
    UnknownPrice,
)
from keyturn.activities.llm.provider import Provider
from keyturn.activities.llm.route import Route
from keyturn.activities.retry import keep_trying
from keyturn.activities.think.fallback import Fallback, Held, Rerouted, Unkept
from keyturn.orchestrator.rules import ids
from keyturn.orchestrator.rules.contract.model import Price
from keyturn.orchestrator.rules.errors import (
    BudgetExceeded,
    KeyturnError,
    StoreUnavailable,
)
from keyturn.orchestrator.rules.money.budget import Needs
from keyturn.orchestrator.rules.text.transcript import ModelReply, ModelRequest, legible
from keyturn.orchestrator.store.budgets import limits, reservations, settlement
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.turns.position import Position

# Tries of one target before the next one is asked.
TRIES = 3
# How long a paid reply waits in memory for an unavailable store.
STORE_WITHIN = timedelta(minutes=20)
# Requests of one turn are numbered by tens, those of the safer model from here on.
SAFER = 1000

log = structlog.get_logger()


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

        `number` counts the requests of this turn, repairs included. The returned reply
        is stored: no later failure can lose it, so none is paid for twice.
        """
        last: KeyturnError | None = None
        for route in targets.routes(position, self.providers):
            for retry in range(TRIES):
                try:
                    return await self._attempt(
                        position, request, route, watch, number=number + retry
                    )
                except UnknownPrice as error:
                    last = error
                    await self._pass_over(position, route, error, number=number)
                    break
                except ProviderRejected as error:
                    last = error
                    break
                except ProviderError as error:
                    last = error
                    pause = attempt.pause_s(error, retry)
                    if pause is None or retry == TRIES - 1:
                        break
                    await attempt.sleep_watched(pause, watch)
        raise Fallback("timeout", str(last) if last else "no model could be asked")

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
        reply = await self._reply(position, request, route, watch, reserved)
        used = self._used(route, reply, reserved)
        if reply.stop == "other":
            unfinished = UnfinishedReply(
                provider=route.provider.name, stop=reply.stop_raw, words=reply.fault
            )
            await self._fail(reserved, used, unfinished)
            raise unfinished
        await self._save(reserved, used)
        elapsed = int((time.monotonic() - started) * 1000)
        return Answered(reply, route.provider.name, reserved.attempt, used, elapsed)

    async def _reply(
        self,
        position: Position,
        request: ModelRequest,
        route: Route,
        watch: Watch,
        reserved: reservations.Reservation,
    ) -> ModelReply:
        """Return a provider's reply; settle the attempt where there is no reply."""
        try:
            reply = await attempt.watched(
                route.provider.reply(
                    request,
                    timeout_s=position.release.model_timeout.total_seconds(),
                ),
                lambda: self._look(watch, route),
            )
            return legible(reply)
        except ProviderError as error:
            used = attempt.worst_case(reserved, None) if error.sent else None
            await self._fail(reserved, used, error)
            raise
        except (Held, Rerouted, asyncio.CancelledError):
            # The provider may have worked on it; it is charged until that is known.
            await settlement.settle(
                self.store, reserved.attempt, attempt.worst_case(reserved, "held")
            )
            raise
        except StoreUnavailable:
            # The watch failed; the attempt is charged when its lease ends.
            raise
        except Exception as error:  # noqa: BLE001 recorded as a failure of the provider
            # It may be paid for: an adapter that cannot read an answer counts as a
            # failure of its provider, and has the same limits.
            activity.logger.exception("unreadable answer of %s", route.target)
            broken = MalformedReply(
                provider=route.provider.name,
                why=f"our adapter failed on it ({type(error).__name__}).",
            )
            await self._fail(reserved, attempt.worst_case(reserved, None), broken)
            raise broken from None

    async def _save(
        self, reserved: reservations.Reservation, used: settlement.Used
    ) -> None:
        """Store a paid reply before it is checked."""
        try:
            await keep_trying(
                lambda: settlement.settle(self.store, reserved.attempt, used),
                within=STORE_WITHIN,
            )
        except StoreUnavailable:
            raise
        except Exception as error:
            activity.logger.exception("reply not stored: %s", reserved.attempt)
            raise Unkept(
                f"A paid reply could not be stored ({type(error).__name__})."
            ) from error

    async def _fail(
        self,
        reserved: reservations.Reservation,
        used: settlement.Used | None,
        error: KeyturnError,
    ) -> None:
        failure = settlement.Failure(kind=attempt.kind_of(error), words=str(error))
        log.warning(
            "model.attempt_failed",
            run=reserved.run,
            target=f"{reserved.provider}/{reserved.model}",
            kind=failure.kind,
            error=failure.words,
        )
        await keep_trying(
            lambda: settlement.fail(self.store, reserved.attempt, used, failure),
            within=STORE_WITHIN,
        )

    async def _pass_over(
        self, position: Position, route: Route, error: UnknownPrice, *, number: int
    ) -> None:
        """Record a target without a price, to explain why it is unused."""
        log.warning("model.passed_over", target=route.target, error=str(error))
        wanted = reservations.Reservation(
            attempt=ids.new_id("try"),
            run=position.run.id,
            turn=position.turn,
            number=number,
            provider=route.provider.name,
            model=route.model,
            tokens=0,
            cost_microusd=0,
        )
        failure = settlement.Failure(kind=attempt.kind_of(error), words=str(error))
        await settlement.pass_over(self.store, wanted, failure)

    async def _look(self, watch: Watch, route: Route) -> None:
        try:
            now = await watch()
        except StoreUnavailable:
            # An earlier request is already paid for: its reply is worth waiting for.
            return
        off = targets.off(now, route)
        if off is not None:
            raise Rerouted(f"Switch {off} took {route.target} away.")

    async def _reserve(
        self, position: Position, request: ModelRequest, route: Route, *, number: int
    ) -> reservations.Reservation:
        run = position.run
        bound = prices.input_tokens_bound(request)
        wanted = reservations.Reservation(
            attempt=ids.new_id("try"),
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
            saw=tuple(m.id for m in position.unread if m.id is not None),
        )
        scopes = limits.bounds(
            position.release.budget,
            run=run.id,
            workflow=run.workflow,
            tenant=run.tenant,
            now=position.now,
        )
        try:
            await reservations.reserve(self.store, wanted, scopes)
        except BudgetExceeded as error:
            needs = Needs(
                scope=error.scope, tokens=wanted.tokens, microusd=wanted.cost_microusd
            )
            raise Fallback("budget", str(error), needs=needs) from error
        return wanted

    def _used(
        self, route: Route, reply: ModelReply, reserved: reservations.Reservation
    ) -> settlement.Used:
        """Return the cost of a reply, at most the reservation, which is the worst case.

        An impossible count is treated as missing: then the reservation is charged.
        """
        kept = attempt.as_kept(reply)
        usage = reply.usage
        if usage is None or attempt.is_senseless(usage, reply):
            return attempt.worst_case(reserved, None).model_copy(update={"reply": kept})
        read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        tokens = read + usage.output_tokens
        if tokens > reserved.tokens:
            words = (
                f"The provider counted {tokens} tokens, which is more than this request "
                f"can use; it is charged at what was reserved, {reserved.tokens}."
            )
            return attempt.worst_case(reserved, words).model_copy(
                update={"reply": kept}
            )
        try:
            cost = prices.cost_microusd(
                route.provider.name, route.model, usage, price=self._price(route)
            )
        except Exception:  # noqa: BLE001 no error may lose a reply that is paid for
            activity.logger.exception("usage not priced: %s", route.target)
            return attempt.worst_case(reserved, None).model_copy(update={"reply": kept})
        return settlement.Used(
            input_tokens=read,
            output_tokens=usage.output_tokens,
            cost_microusd=min(cost, reserved.cost_microusd),
            reply=kept,
        )

    def _price(self, route: Route) -> Price | None:
        return self.prices.get(route.target)
