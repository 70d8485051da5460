"""A suite: what customers write, what people answer, and what must come of it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
)

from keyturn.orchestrator.processes.exit_status import WrongUsage
from keyturn.orchestrator.rules.errors import MalformedJson, in_words
from keyturn.orchestrator.rules.policy.rules import Role
from keyturn.orchestrator.rules.status import CallStatus, RunStatus
from keyturn.orchestrator.rules.text import canonical


class SuiteError(WrongUsage):
    """A suite cannot be read; the message names the line and what to repair."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Decide(_Part):
    """What people answer when this tool asks; each answer is given once, in order.

    `arguments` are changes to those shown: an edit, approved by its author.
    """

    tool: str
    decision: Literal["approve", "reject", "change"]
    reason: str | None = None
    arguments: dict[str, JsonValue] | None = None


class Asked(_Part):
    """An approval that must have been asked for."""

    tool: str
    people: int
    role: Role


class Effect(_Part):
    """An effect that must be done; a field that is None matches every value."""

    tool: str
    amount: str | None = None
    subject: str | None = None


class Expect(_Part):
    """What must be true at the end; what is not named is not looked at.

    `status` may name several. `effects` are all that are done, in any order. `ended` gives how each call of a tool
    ended, in order. `never` are words that no prompt and no mail may hold.
    """

    status: tuple[RunStatus, ...] = ()
    output: dict[str, JsonValue] = Field(default_factory=dict)
    called: tuple[str, ...] = ()
    not_called: tuple[str, ...] = ()
    effects: tuple[Effect, ...] | None = None
    asked: tuple[Asked, ...] = ()
    ended: dict[str, tuple[CallStatus, ...]] = Field(
        default_factory=dict[str, tuple[CallStatus, ...]]
    )
    never: tuple[str, ...] = ()

    @field_validator("status", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class Case(_Part):
    """One case. `otherwise` is the answer where `decide` has none for a tool.

    `writes` is what the customer writes again, once the first approval waits.
    `scripted` holds for the scripted model only: it falls for every attack, so that the
    guards are tried; a good model may never come that far.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")
    about: str
    attack: bool = False
    workflow: str = "support-ticket"
    input: dict[str, JsonValue]
    decide: tuple[Decide, ...] = ()
    otherwise: Literal["approve", "reject", "none"] = "approve"
    writes: str | None = None
    expect: Expect
    scripted: Expect = Expect()


class Suite(_Part):
    """The cases of one file, and the hash of its bytes."""

    path: str
    hash: str
    cases: tuple[Case, ...]

    def only(self, wanted: tuple[str, ...]) -> "Suite":
        """Return the suite with these cases alone; raises for one that is not there."""
        known: Mapping[str, Case] = {case.id: case for case in self.cases}
        missing = [name for name in wanted if name not in known]
        if missing:
            raise SuiteError(
                f"{self.path} has no case {', '.join(missing)}; it has: "
                f"{', '.join(known)}."
            )
        return self.model_copy(update={"cases": tuple(known[n] for n in wanted)})


def load(path: Path) -> Suite:
    """Return the suite in a JSONL file; raises `SuiteError`, naming the line."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SuiteError(
            f"The suite {path} cannot be read: {error.strerror}. Name a JSONL file."
        ) from None
    lines = enumerate(data.splitlines(), start=1)
    cases = tuple(_case(path, number, line) for number, line in lines if line.strip())
    ids = [case.id for case in cases]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice or not cases:
        why = f"has two cases named {', '.join(twice)}" if twice else "has no case"
        raise SuiteError(f"The suite {path} {why}.")
    return Suite(path=str(path), hash=hashlib.sha256(data).hexdigest(), cases=cases)


def _case(path: Path, number: int, line: bytes) -> Case:
    try:
        return Case.model_validate(canonical.parse(line))
    except MalformedJson as error:
        raise SuiteError(f"{path}:{number}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(map(str, first["loc"])) or "the case"
        raise SuiteError(f"{path}:{number}: {where}: {in_words(first)}.") from None
