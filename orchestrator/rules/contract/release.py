"""Releases: everything that shapes a workflow's behaviour, as data under one hash."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, JsonValue

from keyturn.orchestrator.rules.contract.contract import Contract, Fallback, Retention
from keyturn.orchestrator.rules.contract.model import Alias
from keyturn.orchestrator.rules.contract.tool import (
    Audience,
    Authority,
    Tool,
    arguments_schema,
)
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.money.budget import Budget, Limit
from keyturn.orchestrator.rules.policy.rules import Rule
from keyturn.orchestrator.rules.text import canonical, json_object
from keyturn.orchestrator.rules.text.model_notices import VERSION as NOTICES_VERSION
from keyturn.orchestrator.rules.text.redaction import VERSION as REDACTOR_VERSION

# Marks `money` as computed by the tool's own code, which only activities have.
COMPUTED = "()"


class ToolSpec(BaseModel):
    """A tool as its release fixes it: all but the code.

    `money` names the field of type Money, or is `()` where code works it out.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    description: str
    authority: Authority
    owner: str
    parameters: dict[str, JsonValue]
    result: dict[str, JsonValue]
    service: str | None = None
    subject: str | None = None
    money: str | None = None
    has_preview: bool = False
    has_reconcile: bool = False
    compensate: str | None = None
    idempotency_window: timedelta | None = None
    audience: Audience = "internal"
    corpora: tuple[str, ...] = ()
    undo: timedelta = timedelta(0)

    @property
    def is_action(self) -> bool:
        """Return whether a call is an action, which policy judges."""
        return self.authority != "read_only"


class Release(BaseModel):
    """One workflow's behaviour, pinned; any worker can load it."""

    model_config = ConfigDict(frozen=True)

    workflow: str
    owner: str
    on_call: str
    description: str
    instructions: str
    input_schema: dict[str, JsonValue]
    output_schema: dict[str, JsonValue]
    customer: str
    contact: str | None
    never_sees: tuple[str, ...]
    separates_tenants: tuple[str, ...] = ()
    tools: tuple[ToolSpec, ...]
    rules: tuple[Rule, ...]
    budget: Budget
    limits: tuple[Limit, ...]
    fallback: Fallback
    retention: Retention
    model: str
    safer_model: str
    aliases: tuple[Alias, ...]
    max_output_tokens: int
    temperature: float | None
    model_timeout: timedelta
    window: int | None
    max_input_bytes: int
    confidence: str | None
    min_confidence: Decimal
    redactor: str
    # The sentences that Keyturn tells the model; None in releases before this field.
    notices: str | None = None

    def tool(self, name: str) -> ToolSpec:
        """Return the tool of that name, or raise `NotFound` with the granted tools."""
        for spec in self.tools:
            if spec.name == name:
                return spec
        known = tuple(spec.name for spec in self.tools)
        raise NotFound(kind="tool", name=name, known=known)

    def targets(self, alias: str) -> tuple[str, ...]:
        """Return an alias's models; a name with a slash is its own target."""
        if "/" in alias:
            return (alias,)
        for known in self.aliases:
            if known.name == alias:
                return known.targets
        names = tuple(known.name for known in self.aliases)
        raise NotFound(kind="model alias", name=alias, known=names)

    def data(self) -> dict[str, JsonValue]:
        """Return the release as JSON, with sets sorted."""
        # An older release keeps the hash under which it was stored.
        later = {"notices"} if self.notices is None else set[str]()
        content = self.model_dump(mode="json", exclude=later)
        return json_object.of(_ordered(content))

    def policy_hash(self) -> str:
        """Return the hash of everything that decides about actions."""
        decides = self.model_dump(mode="json", include={"rules", "limits"})
        return canonical.digest(_ordered(decides))

    def hash(self) -> str:
        """Return the release's name: SHA-256 over its canonical JSON."""
        return canonical.digest(self.data())


def of(
    contract: Contract, tools: Mapping[str, Tool], aliases: Iterable[Alias]
) -> Release:
    """Return the release of `contract` with these tools and models."""
    shared = set(Release.model_fields) & set(Contract.model_fields) - {"tools"}
    fields = {name: getattr(contract, name) for name in shared}
    for sets in ("never_sees", "separates_tenants"):
        fields[sets] = tuple(sorted(fields[sets]))
    return Release(
        workflow=contract.name,
        input_schema=contract.input.model_json_schema(),
        output_schema=contract.output.model_json_schema(),
        tools=tuple(spec(tools[name]) for name in contract.tools),
        aliases=tuple(sorted(aliases, key=lambda alias: alias.name)),
        redactor=REDACTOR_VERSION,
        notices=NOTICES_VERSION,
        **fields,
    )


def spec(tool: Tool) -> ToolSpec:
    """Return the part of a tool that a release stores."""
    return ToolSpec(
        name=tool.name,
        description=tool.description,
        authority=tool.authority,
        owner=tool.owner,
        parameters=arguments_schema(tool),
        result=tool.output.model_json_schema(mode="serialization"),
        service=tool.service,
        subject=tool.subject,
        money=COMPUTED if callable(tool.money) else tool.money,
        has_preview=tool.preview is not None,
        has_reconcile=tool.reconcile is not None,
        compensate=tool.compensate.tool if tool.compensate else None,
        idempotency_window=tool.idempotency_window,
        audience=tool.audience,
        corpora=tuple(sorted(tool.corpora)),
        undo=tool.undo,
    )


def _ordered(value: JsonValue) -> JsonValue:
    """Sort the lists that were sets: a rule's `when` values."""
    if isinstance(value, dict):
        return {
            name: _sorted_sets(child) if name == "when" else _ordered(child)
            for name, child in value.items()
        }
    return [_ordered(child) for child in value] if isinstance(value, list) else value


def _sorted_sets(when: JsonValue) -> JsonValue:
    if not isinstance(when, dict):
        return when
    return {
        name: sorted(want, key=lambda one: (type(one).__name__, str(one)))
        if isinstance(want, list)
        else want
        for name, want in when.items()
    }
