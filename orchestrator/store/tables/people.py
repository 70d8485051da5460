"""Tables of people, sessions, tokens, tenants and sources."""

from datetime import datetime

from sqlalchemy import (
    Column,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel

from keyturn.orchestrator.store.tables import columns
from keyturn.orchestrator.store.tables.types import Json


class PersonRow(SQLModel, table=True):
    """An account: a person, or a service that decides nothing."""

    __tablename__ = "people"  # pyright: ignore[reportAssignmentType] see above
    __table_args__ = (UniqueConstraint("oidc_issuer", "oidc_subject"),)

    id: str = Field(primary_key=True)
    name: str
    email: str = Field(unique=True)
    kind: str = "person"
    role: str
    tenant: str | None = None
    teams: list[str] = columns.texts()
    languages: list[str] = columns.texts()
    password_hash: str | None = None
    oidc_issuer: str | None = None
    oidc_subject: str | None = None
    approves_from: datetime | None = columns.time_column_or_none()
    mail_about: list[str] | None = Field(
        default=None, sa_column=Column(Json, nullable=True)
    )
    created_at: datetime = columns.time_column()
    disabled_at: datetime | None = columns.time_column_or_none()
    # The code by which a process with the key vouches for the row, see
    # `keyturn.orchestrator.store.db.row_codes`.
    mac: str | None = None


class SessionRow(SQLModel, table=True):
    """A signed-in browser, by the hash of its cookie.

    The cookie is replaced from time to time: `old_hash` is the one before, valid until
    `old_until`, and without an end until the new one was seen once.
    """

    __tablename__ = "sessions"  # pyright: ignore[reportAssignmentType] see above

    id: str = Field(primary_key=True)
    person: str = Field(foreign_key="people.id", index=True)
    hash: str = Field(unique=True)
    old_hash: str | None = Field(default=None, index=True)
    old_until: datetime | None = columns.time_column_or_none()
    rotated_at: datetime = columns.time_column()
    csrf: str
    method: str = "password"
    address: str = ""
    browser: str = ""
    created_at: datetime = columns.time_column()
    seen_at: datetime = columns.time_column()
    ends_at: datetime = columns.time_column()
    mac: str | None = None


class TokenRow(SQLModel, table=True):
    """An API token, by its hash; acts as its owner, within its `scopes`.

    `parent` is the token that it was made with, and ends with it. `tenants` are those
    that a service's token starts runs for; a person's acts within its owner's.
    """

    __tablename__ = "tokens"  # pyright: ignore[reportAssignmentType] see above

    id: str = Field(primary_key=True)
    person: str = Field(foreign_key="people.id", index=True)
    name: str
    hash: str = Field(unique=True)
    scopes: list[str] = columns.texts()
    tenants: list[str] = columns.texts()
    parent: str | None = Field(default=None, index=True)
    created_at: datetime = columns.time_column()
    used_at: datetime | None = columns.time_column_or_none()
    ends_at: datetime | None = columns.time_column_or_none()
    revoked_at: datetime | None = columns.time_column_or_none()
    mac: str | None = None


class SignInAttemptRow(SQLModel, table=True):
    """One failed sign-in, by account or by address; old ones are deleted."""

    __tablename__ = "sign_in_attempts"  # pyright: ignore[reportAssignmentType] see above

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(index=True)
    at: datetime = columns.time_column(index=True)


class TenantRow(SQLModel, table=True):
    """A tenant that runs may be started for, by its name in one spelling.

    `is_rehearsal`: for an evaluation, with services that are doubles made only for it.
    """

    __tablename__ = "tenants"  # pyright: ignore[reportAssignmentType] see above

    key: str = Field(primary_key=True)
    name: str = Field(unique=True)
    is_rehearsal: bool = False
    declared_by: str
    created_at: datetime = columns.time_column()


class SourceRow(SQLModel, table=True):
    """A source of runs, by its name in one spelling, and its account."""

    __tablename__ = "sources"  # pyright: ignore[reportAssignmentType] see above

    key: str = Field(primary_key=True)
    name: str
    owner: str
    created_at: datetime = columns.time_column()
