"""Answers over HTTP; the one place where an error becomes a status."""

from pydantic import JsonValue

from examples.retail.shop.errors import (
    KeyReused,
    NotAllowed,
    NotFound,
    NotSignedIn,
    NotYours,
    NoWriteToken,
    ShopError,
)
from examples.retail.shop.records import Record

STATUSES: dict[type[ShopError], int] = {
    NotSignedIn: 401,
    NoWriteToken: 403,
    NotYours: 403,
    NotFound: 404,
    KeyReused: 409,
    NotAllowed: 422,
}


class Answer(Record):
    """An HTTP status and a JSON body."""

    status: int
    body: dict[str, JsonValue]


def done(record: Record) -> Answer:
    """Give the answer that shows the record as it has become."""
    return Answer(status=200, body=record.plain())


def refused(error: ShopError) -> Answer:
    """Give the answer that says why nothing was done."""
    return Answer(status=STATUSES[type(error)], body={"error": error.text})
