"""Contracts: what one workflow declares about itself."""

from datetime import timedelta
from decimal import Decimal
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from keyturn.orchestrator.rules.contract.declared import (
    Amount,
    Count,
    Length,
    Ratio,
    Said,
    place,
)
from keyturn.orchestrator.rules.errors import ContractError
from keyturn.orchestrator.rules.money.budget import Budget, Limit
from keyturn.orchestrator.rules.policy.rules import Rule

FallbackAction = Literal["hand_off", "safer_model", "fail"]
FallbackKind = Literal[
    "refusal",
    "low_confidence",
    "timeout",
    "tool_failure",
    "invalid_output",
    "budget",
    "loop",
    "code_error",
]


class Fallback(BaseModel):
    """What happens instead, by the kind of failure; a person by default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    refusal: FallbackAction = "hand_off"
    low_confidence: FallbackAction = "hand_off"
    timeout: FallbackAction = "hand_off"
    # Another model would meet the same broken tool.
    tool_failure: Literal["hand_off", "fail"] = "hand_off"
    invalid_output: FallbackAction = "hand_off"
    budget: Literal["hand_off", "stop", "fail"] = "hand_off"
    loop: FallbackAction = "hand_off"
    # Another model does not repair code.
    code_error: Literal["hand_off", "fail"] = "hand_off"


class Retention(BaseModel):
    """How long a transcript and the audit rows of a run are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    transcript: Length = timedelta(days=90)
    audit: Length = timedelta(days=400)


class Contract(BaseModel):
    """What one workflow may read, must never see, may return, may do and may cost.

    `customer` and `contact` name the input's fields that hold the customer's id and
    address. `separates_tenants` names the services of its tools that keep each tenant's
    customers and subjects apart: elsewhere one id is one customer for every tenant.
    `model` and `safer_model` are aliases. `window` is how many tokens of the
    transcript a model is sent: older tool results are left out first. `confidence`
    names a number in the output, below which (`min_confidence`) the fallback for
    `low_confidence` is taken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    owner: Said
    on_call: Said
    description: str = ""
    instructions: str = ""
    input: type[BaseModel]
    output: type[BaseModel]
    customer: str
    contact: str | None = None
    never_sees: frozenset[str] = frozenset()
    separates_tenants: frozenset[str] = frozenset()
    tools: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    budget: Budget
    limits: tuple[Limit, ...] = ()
    fallback: Fallback = Fallback()
    retention: Retention = Retention()
    model: str = "standard"
    safer_model: str = "safer"
    max_output_tokens: Count = Field(default=2048, gt=0)
    temperature: Ratio | None = Field(default=None, ge=0, le=2)
    model_timeout: Length = timedelta(seconds=60)
    window: Count | None = Field(default=None, gt=0)
    max_input_bytes: Count = Field(default=64_000, gt=0, le=1_000_000)
    confidence: str | None = None
    min_confidence: Amount = Decimal("0.5")
    _place: str = PrivateAttr(default_factory=place)

    @property
    def place(self) -> str:
        """Return the file and line where the contract was written."""
        return self._place

    @field_validator("tools")
    @classmethod
    def _each_once(cls, tools: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in tools if tools.count(name) > 1})
        if twice:
            raise ValueError(f"grants a tool twice: {', '.join(twice)}")
        return tools

    @model_validator(mode="after")
    def _names_its_own_fields(self) -> "Contract":
        for label, name, model in (
            ("customer", self.customer, self.input),
            ("contact", self.contact, self.input),
            ("confidence", self.confidence, self.output),
        ):
            if name is not None and name not in model.model_fields:
                raise ContractError(
                    f"Contract {self.name!r} names {name!r} as its {label}, but "
                    f"{model.__name__} has only: {', '.join(model.model_fields)}."
                )
        return self
