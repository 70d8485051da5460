"""Columns and conditions that several tables share."""

import secrets
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    text,
)
from sqlmodel import AutoString, Field

from keyturn.orchestrator.store.tables.types import Json, Scrubbed, ScrubbedJson, Utc

# SQLModel types `__tablename__` as a declared attribute; a plain name is its usual
# form.


def json_column(*, nullable: bool = True) -> Any:  # noqa: ANN401 a column of any JSON
    """Return a column of any JSON, null by default."""
    return Field(default=None, sa_column=Column(Json, nullable=nullable))


def texts() -> Any:  # noqa: ANN401 SQLModel fields are untyped
    """Return a list of texts, empty by default."""
    column = Column(Json, nullable=False, server_default="[]")
    return Field(default_factory=list, sa_column=column)


def time_column(*, index: bool = False) -> Any:  # noqa: ANN401 SQLModel fields are untyped
    """Return a column of a time in UTC."""
    return Field(sa_column=Column(Utc, nullable=False, index=index))


def time_column_or_none(*, index: bool = False) -> Any:  # noqa: ANN401 as above
    """Return a column of a time in UTC, null by default."""
    return Field(default=None, sa_column=Column(Utc, nullable=True, index=index))


def error_words() -> Any:  # noqa: ANN401 SQLModel fields are untyped
    """Return a column for an error's words, which pass through the scrubber."""
    return Field(default=None, sa_column=Column(Scrubbed, nullable=True))


def scrubbed_column(*, nullable: bool = True) -> Any:  # noqa: ANN401 as above
    """Return a column of JSON whose texts pass through the scrubber."""
    return Field(default=None, sa_column=Column(ScrubbedJson, nullable=nullable))


def big_integer(default: Any = ...) -> Any:  # noqa: ANN401 SQLModel fields are untyped
    """Return 64 bits: 32 would end at 2,147 dollars in micro-dollars."""
    return Field(default=default, sa_type=BigInteger)


def word(default: Any = ..., *, index: bool = False) -> Any:  # noqa: ANN401 as above
    """Return a text that is one of a `Literal`'s: SQLModel maps no `Literal` itself."""
    return Field(default=default, sa_type=AutoString, index=index)


HELD = text("held_by IS NOT NULL")


def new_stamp() -> int:
    """Return a random number, new with each change: their sum shows any change."""
    return secrets.randbits(STAMP_BITS)


def stamp_column() -> Any:  # noqa: ANN401 SQLModel fields are untyped
    """Return a column that gets another number with each change of the row."""
    column = Column(Integer, nullable=False, default=new_stamp, onupdate=new_stamp)
    return Field(default_factory=new_stamp, sa_column=column)


def partial_index(
    name: str, *columns: str, condition: str, unique: bool = False
) -> Index:
    """Return an index of only the rows that match: it is as small as they are few."""
    # A parameter proves nothing to a planner; queries write the condition as it is
    # here.
    where = text(condition)
    return Index(
        name, *columns, unique=unique, sqlite_where=where, postgresql_where=where
    )


STAMP_BITS = 31
# Conditions for open rows: those of partial indexes, literally as in the queries.
OPEN_RUN = "status IN ('queued', 'running', 'waiting', 'stopped')"
IN_HANDS = "status = 'handed_off' AND settled_at IS NULL"
HELD_RUN = "stopped_by IS NOT NULL"
PAUSED_RUN = f"paused_by IS NOT NULL AND {OPEN_RUN}"
WAITING = "status = 'pending'"
TO_WARN = f"{WAITING} AND warned_at IS NULL"
TO_ASSIGN = f"{WAITING} AND assigns AND assigned_to IS NULL"
TO_FIND_OUT = "(status = 'unknown' OR reopened_at IS NOT NULL)"
TAKES_BACK = "compensates IS NOT NULL"
STILL_TAKES_BACK = f"{TAKES_BACK} AND let_go_at IS NULL"
UNDER_WAY = "status IN ('leased', 'sending')"
# Limits on money lock rows of the meters' table, too; they reserve and use nothing.
OF_A_RUN = "substr(scope, 1, 4) = 'run '"
OF_A_DAY = "substr(scope, 1, 4) <> 'run ' AND substr(scope, 1, 6) <> 'limit '"
SENT = "status = 'sent'"
UNSEALED = "position IS NULL"
DEAD = "dead_at IS NOT NULL"
NOT_ENDED = "ended_at IS NULL"
