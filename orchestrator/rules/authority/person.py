"""The acting person, as the session or the token identifies them."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Person(BaseModel):
    """Who decides, as the session knows them; before `approves_from` they only look.

    Who came by a token does only what is among its `scopes`; None sets no bound. A
    service starts runs for its token's `tenants` alone; None: for those of its `tenant`.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    role: str
    kind: str = "person"
    tenant: str | None = None
    email: str | None = None
    approves_from: datetime | None = None
    teams: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    tenants: tuple[str, ...] | None = None
    session: str
