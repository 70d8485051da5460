"""Names for models, so that an incident can point them elsewhere."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field


class Price(BaseModel):
    """What a model costs, for one that the public price list does not know."""

    model_config = ConfigDict(frozen=True)

    input_usd_per_million: Decimal = Field(ge=0)
    output_usd_per_million: Decimal = Field(ge=0)


class Alias(BaseModel):
    """A name for a job, with the models that may do it, in order.

    A target is `provider/model`, for example `openai/gpt-5.2`; the next is asked where
    one cannot answer.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    targets: tuple[str, ...] = Field(min_length=1)
