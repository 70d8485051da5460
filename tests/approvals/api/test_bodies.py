"""What every body of the API takes for words, times, numbers and answers."""

from collections.abc import Iterator
from typing import Any, cast, get_args

import pytest
from fastapi.routing import APIRoute
from pydantic import AwareDatetime, BaseModel, ValidationError, create_model
from pydantic.fields import FieldInfo

from keyturn.approvals.api import router as routers

SAID = frozenset({"reason", "text", "words", "evidence", "detail", "title"})
UNSEEN = ("", " \n", "\u200b", "\u2060\ufeff", "\u3164", "\u2800", "\u00ad", "\u0301")
NO_TIMES = (1764093600, 1764093600.5, True, "1764093600", "2026-11-25T18:00:00", "now")
NO_NUMBERS = (True, "5", 5.0)
NO_ANSWERS = (1, 0, "yes", "true")


def models(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from models(field.annotation)
    for inner in get_args(kind):
        yield from models(inner)


def bodies() -> list[type[BaseModel]]:
    found = [
        one
        for router in routers.ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and route.body_field is not None
        for one in models(route.body_field.field_info.annotation)
    ]
    return list(dict.fromkeys(found))


def kinds(annotation: Any) -> set[Any]:
    inner = {one for part in get_args(annotation) for one in kinds(part)}
    return {annotation} | inner if isinstance(annotation, type) else inner


def fields(of: object = None, *, named: bool = False) -> list[Any]:
    return [
        pytest.param(field, id=f"{body.__name__}.{name}")
        for body in bodies()
        for name, field in body.model_fields.items()
        if (named and name in SAID) or of in kinds(field.annotation)
    ]


def takes(field: FieldInfo, value: object) -> bool:
    made: type[BaseModel] = cast("Any", create_model)(
        "One", it=(field.annotation, field)
    )
    try:
        made.model_validate({"it": value})
    except ValidationError:
        return False
    return True


def test_there_are_bodies_of_each_kind() -> None:
    assert len(bodies()) > 20
    assert len(fields(named=True)) > 10
    assert len(fields(AwareDatetime)) >= 2


@pytest.mark.parametrize("field", fields(named=True))
def test_words_that_nobody_sees_count_as_empty(field: FieldInfo) -> None:
    assert takes(field, "Because ½ 😀")
    assert [text for text in UNSEEN if takes(field, text)] == []


@pytest.mark.parametrize("field", fields(AwareDatetime))
def test_numbers_booleans_and_times_without_zone_are_no_times(field: FieldInfo) -> None:
    assert takes(field, "2026-11-25T18:00:00Z")
    assert takes(field, "2026-11-25T18:00:00.5+01:00")
    assert [value for value in NO_TIMES if takes(field, value)] == []


@pytest.mark.parametrize("field", fields(int))
def test_booleans_and_texts_are_no_numbers(field: FieldInfo) -> None:
    assert takes(field, 5)
    assert [value for value in NO_NUMBERS if takes(field, value)] == []


@pytest.mark.parametrize("field", fields(bool))
def test_numbers_and_texts_are_no_answers(field: FieldInfo) -> None:
    assert takes(field, value=True)
    assert [value for value in NO_ANSWERS if takes(field, value)] == []
