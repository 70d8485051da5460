"""The activity `think`: one turn of a run, idempotent per run and turn."""

import asyncio
from dataclasses import dataclass

from temporalio import activity

from keyturn.activities import forgery, guard, prompt
from keyturn.activities.interface import ThinkInput, ThinkResult
from keyturn.activities.llm.gateway import Models
from keyturn.activities.run_tool import RunTool
from keyturn.activities.think.draft import Drafts
from keyturn.activities.think.exchange import Exchange, check_held
from keyturn.activities.think.fallback import Fallback, Held, Rerouted
from keyturn.activities.think.turn import Turns
from keyturn.activities.toolbox import Toolbox
from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.authority.hold import Hold
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.money.budget import Needs
from keyturn.orchestrator.rules.money.scope import BudgetScope
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import faults
from keyturn.orchestrator.store.tables import StepRow
from keyturn.orchestrator.store.turns import commit
from keyturn.orchestrator.store.turns import position as turn_position
from keyturn.orchestrator.store.turns.errors import EndHeld
from keyturn.orchestrator.store.turns.position import Position
from keyturn.orchestrator.store.turns.turn import GaveUp, Turn


@dataclass(frozen=True)
class Think:
    """Makes one turn: asks the model, checks, judges, commits."""

    store: Store
    models: Models
    toolbox: Toolbox
    reads: RunTool
    guard: guard.Guard

    @activity.defn(name="think")
    async def __call__(self, wanted: ThinkInput) -> ThinkResult:
        """Return the turn's result; a retry after the commit returns the stored one."""
        beating = asyncio.create_task(_heartbeat())
        try:
            return await self.guard.run(
                wanted.run,
                faults.turn_place(wanted.turn),
                lambda: self._think(wanted),
                lambda: self._give_up(wanted),
            )
        finally:
            beating.cancel()

    async def _give_up(self, wanted: ThinkInput) -> ThinkResult:
        """Return the contract's fallback for failing code; its reason is stored."""
        action: str = "hand_off"
        try:
            action = (await self._position(wanted)).release.fallback.code_error
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 on any error a person takes the run over
            # The failure may be in reading the contract: then a person takes over.
            activity.logger.exception("fallback unreadable: %s", wanted.run)
        kind = "failed" if action == "fail" else "hand_off"
        return ThinkResult(kind=kind, reason="code_error")

    async def _think(self, wanted: ThinkInput) -> ThinkResult:
        if wanted.start is not None:
            await self._begin(wanted)
        position = await self._position(wanted)
        if position.result is not None:
            # What its calls wait for may have happened: each checks at once.
            known = ThinkResult.model_validate_json(position.result)
            return known.model_copy(update={"stored": True})
        if position.out_of_order is not None:
            await forgery.refuse(self.store, wanted.run, position.out_of_order)
        try:
            check_held(position)
            has_stood = position.run.status in ("stopped", "queued")
            if has_stood or position.step.held_by is not None:
                await turn_position.go_on(self.store, wanted.run, wanted.step)
            return await self._turns().make(position, ends_run=wanted.ends_run)
        except (Held, EndHeld) as held:
            return await self._stop(wanted, position, held.by)
        except Rerouted:
            return await self._think(wanted.model_copy(update={"start": None}))
        except Fallback as fallback:
            return await self._fall_back(wanted, position, fallback)

    def _turns(self) -> Turns:
        return Turns(
            store=self.store,
            exchange=Exchange(self.store, self.models),
            drafts=Drafts(self.store, self.toolbox),
            reads=self.reads,
        )

    async def _begin(self, wanted: ThinkInput) -> None:
        start = wanted.start
        if start is None:
            return
        step = StepRow(
            run=wanted.run,
            step=wanted.step,
            name=start.name,
            kind=start.kind,
            instructions=start.instructions,
            output_schema=start.output_schema,
        )
        await turn_position.begin_step(self.store, step, prompt.opening)

    async def _position(self, wanted: ThinkInput) -> Position:
        return await turn_position.load(
            self.store, run=wanted.run, step=wanted.step, turn=wanted.turn
        )

    async def _stop(
        self,
        wanted: ThinkInput,
        position: Position,
        by: Hold | None,
        needs: Needs | None = None,
    ) -> ThinkResult:
        if by is None:
            return ThinkResult(kind="cancelled")
        if await turn_position.stop(self.store, position, by, needs):
            return ThinkResult(kind="stopped")
        # The hold ended meanwhile, so nobody would send a signal: check again.
        return await self._think(wanted.model_copy(update={"start": None}))

    async def _fall_back(
        self, wanted: ThinkInput, position: Position, fallback: Fallback
    ) -> ThinkResult:
        action = getattr(position.release.fallback, fallback.kind)
        if action == "safer_model" and await turn_position.use_safer_model(
            self.store, wanted.run
        ):
            return await self._think(wanted.model_copy(update={"start": None}))
        if action == "stop":
            needs = fallback.needs or Needs(scope=str(BudgetScope.of_run(wanted.run)))
            return await self._stop(
                wanted, position, hold.by_budget(needs.scope), needs
            )
        result = ThinkResult(
            kind="failed" if action == "fail" else "hand_off", reason=fallback.kind
        )
        # Committed, so that a retry neither asks nor pays again. The message stays in
        # the store: it may contain the model's own words.
        turn = Turn(
            run=wanted.run,
            step=wanted.step,
            turn=wanted.turn,
            gave_up=GaveUp(
                reason=f"{fallback.kind}: {fallback.detail}", left=fallback.left
            ),
        )
        text = result.model_dump_json(exclude_defaults=True)
        committed = await commit.commit(self.store, turn, lambda _: text, position)
        return ThinkResult.model_validate_json(committed)


async def _heartbeat() -> None:
    while True:
        # The timeout counts from the start too: a quick call needs no heartbeat.
        await asyncio.sleep(1)
        activity.heartbeat()
