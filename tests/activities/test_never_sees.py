"""Nothing marked and nothing undeclared is told of a tool's result or a run's input."""

from dataclasses import dataclass
from typing import Annotated, Any, cast

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    WithJsonSchema,
    computed_field,
    field_serializer,
)
from typing_extensions import TypedDict

from keyturn import Contract, DataClass, ToolContext, tool
from keyturn.activities.toolbox import Actor, Toolbox, as_read_by_model
from keyturn.orchestrator.rules.contract import release as releases
from keyturn.orchestrator.rules.contract.check import check
from keyturn.orchestrator.rules.contract.connector import Connectors
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.contract.tool import Tool
from keyturn.orchestrator.rules.errors import ContractError
from keyturn.orchestrator.rules.text import canonical, redaction
from tests.apps.desk.contracts import DESK

PLANTED = "4111-1111-PLANTED"
Card = Annotated[str, DataClass("pci")]


class Call(BaseModel):
    id: str


class Order(BaseModel):
    id: str = "o-1"


class WithCard(Order):
    card: Card = PLANTED


class MarkedAgain(Order):
    id: Annotated[str, DataClass("pci")] = PLANTED


class Undeclared(Order):
    note: str = PLANTED


class Nested(BaseModel):
    order: Order


class Listed(BaseModel):
    orders: list[Order | None]


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str = "o-1"


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    id: str = "o-1"
    card: Card = Field(default="", alias="cardNumber")


class ByName(BaseModel):
    cards: dict[Annotated[str, Field(pattern="^card")], Card]


class ByValue(BaseModel):
    cards: dict[str, Card]


class Twice(BaseModel):
    both: Annotated[str, DataClass("pci"), DataClass("name")]


class Either(BaseModel):
    one: WithCard | str | None


class Computed(BaseModel):
    id: str = "o-1"

    @computed_field
    def card(self) -> Card:
        return PLANTED


@dataclass
class Plain:
    card: Card


class WithPlain(BaseModel):
    plain: Plain


class Typed(TypedDict):
    card: Card


class WithTyped(BaseModel):
    typed: Typed


RESULTS: list[tuple[type[BaseModel], BaseModel]] = [
    (Order, WithCard()),
    (Order, MarkedAgain()),
    (Order, Undeclared()),
    (Nested, Nested(order=WithCard())),
    (Listed, Listed(orders=[WithCard(), None])),
    (Loose, Loose.model_validate({"note": PLANTED})),
    (Aliased, Aliased.model_validate({"card": PLANTED})),
    (ByName, ByName(cards={"card1": PLANTED})),
    (ByValue, ByValue(cards={"a": PLANTED})),
    (Twice, Twice(both=PLANTED)),
    (Either, Either(one=WithCard())),
    (Computed, Computed()),
    (WithPlain, WithPlain(plain=Plain(card=PLANTED))),
    (WithTyped, WithTyped(typed={"card": PLANTED})),
]


def contract(**changed: Any) -> Contract:
    given: dict[str, Any] = {
        name: getattr(DESK, name) for name in Contract.model_fields
    }
    given.update({"tools": ("look",), "rules": (), "limits": ()})
    given.update(changed)
    return Contract(**given)


def looking(output: type[BaseModel], result: BaseModel) -> Tool:
    async def look(call: Call, context: ToolContext) -> BaseModel:
        del call, context
        return result

    look.__annotations__["return"] = output
    return tool(authority="read_only", owner="t", description="Look.")(look)


def of(declared: Tool, **changed: Any) -> Release:
    return releases.of(contract(**changed), {"look": declared}, ())


def no_connectors(actor: Actor) -> Connectors:
    raise AssertionError(actor)


CONTEXT = cast("ToolContext", None)


@pytest.mark.parametrize(
    ("output", "result"), RESULTS, ids=[type(one).__name__ for _, one in RESULTS]
)
async def test_result_is_told_as_its_declared_model_without_marks(
    output: type[BaseModel], result: BaseModel
) -> None:
    declared = looking(output, result)
    toolbox = Toolbox({"look": declared}, no_connectors)

    carried = await toolbox.carry_out("look", '{"id":"o"}', CONTEXT)
    words, receipt = await as_read_by_model(carried, of(declared), "look")

    assert PLANTED not in words
    assert PLANTED not in canonical.text(receipt)


class Ticket(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True)

    customer_id: str
    email: str = ""
    text: str = Field(default="", alias="said")
    card: Card = ""
    cards: dict[Annotated[str, Field(pattern="^card")], Card] = {}


@pytest.mark.parametrize("name", ["card", "undeclared", "text", "cards"])
def test_input_is_shown_without_marks_and_what_it_does_not_declare(name: str) -> None:
    value: Any = {"card1": PLANTED} if name == "cards" else PLANTED
    schema = Ticket.model_json_schema()

    kept = redaction.drop({"customer_id": "C-1", name: value}, schema, {"pci"})

    assert PLANTED not in canonical.text(kept)


class HasAny(BaseModel):
    id: str
    free: Any = None


class HasFree(BaseModel):
    free: dict[str, Any]


class AsAny(BaseModel):
    order: SerializeAsAny[Order]


class Opaque(BaseModel):
    order: WithCard

    @field_serializer("order")
    def write(self, value):  # pyright: ignore[reportMissingParameterType, reportUnknownParameterType] what it returns is what nobody says
        return value.card  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] as above


class Lost(BaseModel):
    card: Annotated[str, DataClass("pci"), WithJsonSchema({"type": "string"})]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (HasAny, "free has no specific type"),
        (HasFree, "has no specific type"),
        (AsAny, "SerializeAsAny"),
        (Opaque, "write the return type of its serializer"),
        (Lost, "is not in its JSON Schema"),
    ],
)
def test_result_that_cannot_be_followed_is_refused_at_load(
    output: type[BaseModel], says: str
) -> None:
    declared = looking(output, Order())

    with pytest.raises(ContractError, match=says):
        check(contract(), {"look": declared})


def test_class_that_nothing_carries_is_refused_at_load() -> None:
    declared = looking(Order, Order())

    with pytest.raises(ContractError, match=r"never_sees names 'pc'.*marks found: pci"):
        check(contract(never_sees=frozenset({"pc", "pci"})), {"look": declared})


def test_field_that_the_model_writes_is_not_marked_with_what_it_never_sees() -> None:
    declared = looking(Order, Order())

    with pytest.raises(ContractError, match="the model writes this field itself"):
        check(contract(output=WithCard, confidence=None), {"look": declared})
