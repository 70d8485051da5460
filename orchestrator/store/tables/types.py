"""Column types that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from typing import cast

from pydantic import JsonValue
from sqlalchemy import JSON, DateTime, String
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from keyturn.orchestrator.rules.text import canonical, scrub

# JSON that is only stored and returned; what is hashed or signed is kept as text.
# PostgreSQL's JSONB would refuse U+0000, which models and customers do send.
Json = JSON()


class Utc(TypeDecorator[datetime]):
    """An aware time in UTC; SQLite keeps it as sortable text without a zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> datetime | None:
        """Refuse a naive time and store UTC."""
        if value is None:
            return None
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise ValueError(f"{value!r} is not an aware time")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(
        self, value: datetime | None, dialect: Dialect
    ) -> datetime | None:
        """Return UTC, aware."""
        del dialect
        if value is None:
            return None
        return (
            value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        )


class Scrubbed(TypeDecorator[str]):
    """An error's words, without secrets and characters that a text cannot hold."""

    impl = String
    cache_ok = True

    def process_bind_param(
        self, value: str | None, dialect: Dialect | None
    ) -> str | None:
        """Scrub the words before they are stored."""
        del dialect
        if value is None:
            return None
        return canonical.repair_text(scrub.text(value)).replace("\x00", "\ufffd")


class ScrubbedJson(TypeDecorator[object]):
    """JSON with an error's words in it, scrubbed like them."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect | None) -> object:
        """Scrub every text before it is stored."""
        del dialect
        return scrub.value(cast("JsonValue", value))
