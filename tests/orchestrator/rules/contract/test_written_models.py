"""What a tool returns is written as a JSON object, or its contract is refused."""

from typing import Self

import pytest
from pydantic import BaseModel, model_serializer

from keyturn.orchestrator.rules.contract import model_check
from keyturn.orchestrator.rules.contract.model_check import Declared
from keyturn.orchestrator.rules.errors import ContractError


class Text(BaseModel):
    id: str

    @model_serializer
    def text(self) -> str:
        return self.id


class Map(BaseModel):
    id: str

    @model_serializer
    def map(self) -> dict[str, str]:
        return {"the id": self.id}


class Tree(BaseModel):
    below: list[Self] = []


def test_a_result_that_is_written_as_a_text_is_refused() -> None:
    declared = Declared("tool 'look', result", Text, "serialization")

    with pytest.raises(ContractError, match="result Text is not written as a JSON"):
        model_check.check(declared, ())


@pytest.mark.parametrize("model", [Map, Tree])
def test_a_result_that_is_written_as_an_object_is_accepted(
    model: type[BaseModel],
) -> None:
    model_check.check(Declared("tool 'look', result", model, "serialization"), ())
