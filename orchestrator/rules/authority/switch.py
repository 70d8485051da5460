"""Switches: runtime controls that hold running work."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from keyturn.orchestrator.rules.text import plain_text

Mode = Literal["halt", "disable", "require_approval", "use_model"]


class Scope(BaseModel):
    """What a switch holds; each field that is set must match. None set: everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workflow: str | None = None
    tool: str | None = None
    model: str | None = None
    provider: str | None = None
    tenant: str | None = None
    corpus: str | None = None

    def covers(self, target: "Target") -> bool:
        """Return whether a switch of this scope holds `target`."""
        return all(
            wanted is None or wanted in target.values(name)
            for name, wanted in self.model_dump().items()
        )

    @property
    def names_tool(self) -> bool:
        """Return whether the scope names a tool, or a corpus that tools read."""
        return self.tool is not None or self.corpus is not None

    @property
    def names_model(self) -> bool:
        """Return whether the scope names a model or its provider."""
        return self.model is not None or self.provider is not None

    def __str__(self) -> str:
        """Return the scope as a person reads it."""
        named = [f"{k} {v}" for k, v in self.model_dump().items() if v is not None]
        return ", ".join(named) or "everything"


class Target(BaseModel):
    """What is about to happen; a field left out is not involved."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    workflow: str
    tool: str | None = None
    model: str | None = None
    provider: str | None = None
    corpora: frozenset[str] = frozenset()

    def values(self, name: str) -> frozenset[str]:
        """Return the target's values for a field of a scope."""
        if name == "corpus":
            return self.corpora
        value = {
            "tenant": self.tenant,
            "workflow": self.workflow,
            "tool": self.tool,
            "model": self.model,
            "provider": self.provider,
        }[name]
        return frozenset() if value is None else frozenset({value})


class Switch(BaseModel):
    """A switch that is set. `value` is a model alias or target for `use_model`."""

    model_config = ConfigDict(frozen=True)

    id: str
    scope: Scope
    mode: Mode
    value: str | None = None
    reason: str = Field(min_length=1)
    author: str
    created_at: datetime
    until: datetime | None = None

    @field_validator("reason")
    @classmethod
    def _is_seen(cls, reason: str) -> str:
        if not plain_text.trimmed(reason):
            raise ValueError("it must not be empty or blank")
        return reason


def holding(switches: Iterable[Switch], target: Target) -> Switch | None:
    """Return the switch that stops `target`: a halt first, then a disable."""
    stops = [s for s in covering(switches, target) if s.mode in ("halt", "disable")]
    return next((s for s in stops if s.mode == "halt"), stops[0] if stops else None)


def covering(switches: Iterable[Switch], target: Target) -> list[Switch]:
    """Return the switches whose scope covers `target`, in the order given."""
    return [switch for switch in switches if switch.scope.covers(target)]


# How strict each mode is; `use_model` holds nothing, so it is not in this table.
_STRICTNESS: Mapping[Mode, int] = {"require_approval": 1, "disable": 2, "halt": 3}


def is_looser(new: Switch, old: Switch) -> bool:
    """Return whether replacing `old` by `new` releases anything that `old` holds."""
    return not (
        _reaches(new.scope, old.scope)
        and _keeps_names(new, old)
        and _lasts(new.until, old.until)
        and (
            new.mode == old.mode
            or _STRICTNESS.get(new.mode, 0) > _STRICTNESS.get(old.mode, 9)
        )
    )


def _reaches(new: Scope, old: Scope) -> bool:
    before = old.model_dump()
    return all(
        value is None or value == before[name]
        for name, value in new.model_dump().items()
    )


def _keeps_names(new: Switch, old: Switch) -> bool:
    """Return whether each name that `old` disables is still named by `new`.

    A tool that is disabled by name also reads nothing, and a model disabled by name is
    not asked. Of everything else that is disabled, reads and questions continue.
    """
    if (new.mode, old.mode) != ("disable", "disable"):
        return True
    is_named = new.scope.names_tool or not old.scope.names_tool
    return is_named and (new.scope.names_model or not old.scope.names_model)


def _lasts(new: datetime | None, old: datetime | None) -> bool:
    return new is None or (old is not None and new >= old)
