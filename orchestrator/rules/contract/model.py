"""Aliases for models, so that an incident can redirect them."""

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr

from keyturn.orchestrator.rules.contract.declared import Said, place

# The providers that have an adapter (`keyturn.activities.llm`).
PROVIDERS = ("anthropic", "openai")


class Price(BaseModel):
    """What a model costs, for one that the public price list does not know."""

    model_config = ConfigDict(frozen=True)

    input_usd_per_million: Decimal = Field(ge=0)
    output_usd_per_million: Decimal = Field(ge=0)


def _target(name: str) -> str:
    provider, _, model = name.partition("/")
    if not provider.strip() or not model.strip():
        raise ValueError(
            f"{name!r} is not of the form provider/model; write, for example, "
            "'openai/gpt-5.2'"
        )
    return name


def _asked(name: str) -> str:
    provider = _target(name).partition("/")[0]
    if provider not in PROVIDERS:
        raise ValueError(
            f"{name!r} names the unknown provider {provider!r}; known: "
            f"{', '.join(PROVIDERS)}"
        )
    return name


Target = Annotated[str, AfterValidator(_target)]
# A target that a process may call: its provider has an adapter.
AskedTarget = Annotated[str, AfterValidator(_asked)]


class Alias(BaseModel):
    """A name for a job, with the models that may do it, in order.

    A target is `provider/model`, for example `openai/gpt-5.2`; the next is asked where
    one cannot answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Said
    targets: tuple[Target, ...] = Field(min_length=1)
    _place: str = PrivateAttr(default_factory=place)

    @property
    def place(self) -> str:
        """The file and line where it is declared."""
        return self._place
