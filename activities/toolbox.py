"""Calls a tool's code: takes arguments, returns a checked result."""

import asyncio
from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from pydantic import BaseModel, JsonValue, ValidationError

from keyturn.activities.containment import contained
from keyturn.orchestrator.rules.contract.connector import Connectors, Deeds
from keyturn.orchestrator.rules.contract.release import Release, ToolSpec
from keyturn.orchestrator.rules.contract.tool import Tool, ToolContext, ToolError
from keyturn.orchestrator.rules.errors import MalformedJson, in_words
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.text import (
    canonical,
    json_object,
    model_notices,
    redaction,
)
from keyturn.orchestrator.rules.text.model_notices import ModelNotice
from keyturn.orchestrator.rules.text.schema import is_small
from keyturn.orchestrator.store.tables import RunRow

# A service that takes longer to return facts counts as unavailable.
READ_WITHIN_S = 30.0


@dataclass(frozen=True)
class Actor:
    """The tenant and customer that a call acts for; its connectors are made for them.

    They report their writes to `deeds`.
    """

    run: str
    call: str
    tenant: str
    customer: str
    contact: str | None
    effect_key: str | None = None
    deeds: Deeds = field(default_factory=Deeds, compare=False)


class ConnectorSource(Protocol):
    """Makes the connectors for one call: readers, or readers and writers."""

    def __call__(self, actor: Actor) -> Connectors:
        """Return connectors that act for `actor` alone."""
        ...


class NotRun(ToolError):
    """A tool's code is not run, or its result is not used; the words are ours."""

    def __init__(self, notice: ModelNotice) -> None:
        """Take the notice for the model."""
        self.notice = notice
        super().__init__(notice.words)


class NoLookUp(RuntimeError):
    """A run's release has a look-up that this worker's code lacks."""


@dataclass(frozen=True)
class Toolbox:
    """The tools of a process with their connectors."""

    tools: Mapping[str, Tool]
    connectors: ConnectorSource

    def context(
        self,
        run: RunRow,
        call: str,
        *,
        effect_key: str | None = None,
        deeds: Deeds | None = None,
    ) -> ToolContext:
        """Return the context in which a call of this run is carried out.

        Its connectors report their writes to `deeds`.
        """
        actor = Actor(
            run=run.id,
            call=call,
            tenant=run.tenant,
            customer=run.customer,
            contact=run.contact,
            effect_key=effect_key,
            deeds=deeds or Deeds(),
        )
        return ToolContext(
            run=actor.run,
            call=call,
            tenant=actor.tenant,
            customer=actor.customer,
            contact=actor.contact,
            effect_key=effect_key,
            connectors=self.connectors(actor),
        )

    async def carry_out(
        self, name: str, arguments: str, context: ToolContext
    ) -> dict[str, JsonValue]:
        """Return the tool's result as JSON; `ToolError` is a definite failure."""
        tool = self._tool(name)
        result = await contained(tool.function(self.parse(name, arguments), context))
        return await _dump(result, tool.output)

    async def read(
        self,
        spec: ToolSpec,
        arguments: str,
        context: ToolContext,
        *,
        never_sees: Collection[str] = (),
    ) -> tuple[str, Money | None]:
        """Return the facts that an approver relies on and the money that would move.

        The facts are canonical JSON, without data that the contract never sees. Raises
        `ToolError` where this code lacks the preview that the run's release has: nobody
        approves, and no limit counts, what could not be read.
        """
        name = spec.name
        self._check_reads(spec)
        async with asyncio.timeout(READ_WITHIN_S):
            facts = await self._facts(name, arguments, context, never_sees)
            return facts, await self._money(name, arguments, context)

    def _check_reads(self, spec: ToolSpec) -> None:
        tool = self._tool(spec.name)
        lacks = [
            what
            for what, was, is_ in (
                ("preview", spec.has_preview, tool.preview),
                ("money", spec.money is not None, tool.money),
            )
            if was and is_ is None
        ]
        if lacks:
            raise NotRun(model_notices.tool_outdated(tool=spec.name, lacks=lacks))

    async def _facts(
        self,
        name: str,
        arguments: str,
        context: ToolContext,
        never_sees: Collection[str],
    ) -> str:
        tool = self._tool(name)
        if tool.preview is None or tool.facts is None:
            return "{}"
        read = await contained(tool.preview(self.parse(name, arguments), context))
        shown = await _dump(read, tool.facts)
        facts = redaction.drop(shown, _schema(tool.facts), never_sees)
        try:
            text = canonical.text(facts)
            canonical.parse(text)
        except MalformedJson as error:
            why = model_notices.tool_facts(tool=name, why=str(error))
            raise NotRun(why) from None
        return text

    async def _money(
        self, name: str, arguments: str, context: ToolContext
    ) -> Money | None:
        tool = self._tool(name)
        if tool.money is None:
            return None
        call = self.parse(name, arguments)
        if isinstance(tool.money, str):
            return getattr(call, tool.money)
        return await _worked_out(contained(tool.money(call, context)), name)

    async def reconcile(
        self, name: str, arguments: str, context: ToolContext
    ) -> dict[str, JsonValue] | None:
        """Return the receipt that the tool's `reconcile` finds, or None.

        Raises `NoLookUp` where this code has none: then nothing was found out.
        """
        tool = self._tool(name)
        if tool.reconcile is None:
            raise NoLookUp(
                f"{name} declares no reconcile any more, so nothing looks it up."
            )
        found = await contained(tool.reconcile(self.parse(name, arguments), context))
        return await _dump(found, tool.output) if found is not None else None

    def compensation(
        self, name: str, arguments: str, receipt: dict[str, JsonValue] | None
    ) -> BaseModel:
        """Return the arguments of the action that reverses a done effect."""
        how = self._tool(name).compensate
        if how is None:
            raise ToolError(f"{name} declares no compensation any more.")
        return how.arguments(self.parse(name, arguments), receipt)

    def parse(self, name: str, arguments: str) -> BaseModel:
        """Return the arguments as the tool's own model."""
        tool = self._tool(name)
        try:
            return tool.input.model_validate(canonical.parse(arguments))
        except (ValidationError, MalformedJson) as error:
            why = model_notices.tool_arguments(tool=name, why=str(error))
            raise NotRun(why) from None

    def _tool(self, name: str) -> Tool:
        if name not in self.tools:
            raise NotRun(model_notices.tool_gone(tool=name))
        return self.tools[name]


async def _worked_out(working: Awaitable[object], name: str) -> Money | None:
    """Return the money from a tool's own function; `ToolError` where it is invalid."""
    try:
        found = await working
    except ValidationError as error:
        if error.title != Money.__name__:
            raise
        first = error.errors(include_url=False)[0]
        # Positional arguments are named by their position.
        is_currency = first["loc"][:1] in ((1,), ("currency",))
        said = f"{'currency' if is_currency else 'amount'}={first['input']!r:.60}"
        why = model_notices.tool_amount(tool=name, said=said, why=in_words(first))
        raise NotRun(why) from None
    if found is None or isinstance(found, Money):
        return found
    raise NotRun(model_notices.tool_no_money(tool=name, kind=type(found).__name__))


def notice_of(error: ToolError) -> ModelNotice:
    """Return a definite refusal as the model reads it: ours, or a tool's own."""
    if isinstance(error, NotRun):
        return error.notice
    return model_notices.call_failed(words=str(error))


async def as_read_by_model(
    result: dict[str, JsonValue], release: Release, tool: str
) -> tuple[str, dict[str, JsonValue]]:
    """Return a result as the model reads it, and the same as JSON.

    Never-seen data, and data that the tool's result does not declare, is dropped.
    """
    if is_small(result):
        return _as_read_by_model(result, release, tool)
    return await asyncio.to_thread(_as_read_by_model, result, release, tool)


def _as_read_by_model(
    result: dict[str, JsonValue], release: Release, tool: str
) -> tuple[str, dict[str, JsonValue]]:
    spec = release.tool(tool)
    kept = redaction.drop(result, spec.result, release.never_sees)
    return canonical.text(kept), json_object.of(kept)


async def _dump(result: BaseModel, declared: type[BaseModel]) -> dict[str, JsonValue]:
    """Return a result as JSON, by the model that the tool declares.

    A subclass adds nothing, and declared fields that it marks are dropped.
    """
    # By alias, as in the result's schema: its marks of data classes use these names.
    written: JsonValue = declared.__pydantic_serializer__.to_python(
        result, mode="json", by_alias=True
    )
    if is_small(written):
        return _as_declared(written, type(result), declared)
    return await asyncio.to_thread(_as_declared, written, type(result), declared)


def _as_declared(
    written: JsonValue, own: type[BaseModel], declared: type[BaseModel]
) -> dict[str, JsonValue]:
    value = canonical.repair(written)
    if own is not declared:
        only_own = redaction.marks(_schema(own)) - redaction.marks(_schema(declared))
        value = redaction.drop(value, _schema(own), only_own)
    return json_object.of(redaction.drop(value, _schema(declared), ()))


@lru_cache(maxsize=512)
def _schema(model: type[BaseModel]) -> dict[str, JsonValue]:
    return model.model_json_schema(mode="serialization")
