"""The schema that the migrations lead to, and how its types are written."""

from typing import Literal

from alembic.autogenerate.api import AutogenContext
from sqlalchemy import JSON, MetaData
from sqlmodel import AutoString

from keyturn.orchestrator.store import tables
from keyturn.orchestrator.store.tables.types import Scrubbed, ScrubbedJson, Utc

# The import of `tables` declares them all.
METADATA: MetaData = tables.RunRow.metadata


def render(kind: str, item: object, _context: AutogenContext) -> str | Literal[False]:
    """Return a type as plain SQLAlchemy: a revision must not change with our code."""
    if kind != "type":
        return False
    if isinstance(item, Utc):
        return "sa.DateTime(timezone=True)"
    if isinstance(item, JSON | ScrubbedJson):
        return "sa.JSON()"
    if isinstance(item, AutoString | Scrubbed):
        return "sa.String()"
    return False
