"""Signing in at Keyturn through an OpenID provider, and what comes of it."""

import httpx2
from fastapi import FastAPI
from pydantic import SecretStr
from sqlmodel import col, select

from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.tables import AuditRow, PersonRow

HERE = "http://keyturn.test"
CALLBACK = "/sign-in/oidc/callback"
ME = "/api/v1/me"


def settings_for(issuer: str, secret: str = "s") -> Settings:  # noqa: S107 of nobody
    return Settings(
        public_url=HERE,
        oidc_issuer=issuer,
        oidc_client_id="keyturn",
        oidc_client_secret=SecretStr(secret),
    )


def client_of(app: FastAPI) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url=HERE)


async def invite(store: Store, name: str = "ann", **more: str) -> PersonRow:
    fields = {"name": name, "email": f"{name}@shop.example", "role": "agent", **more}
    new = NewPerson.model_validate(fields)
    return await person_accounts.add(store, new, password_hash=None, by="test")


async def begin(http: httpx2.AsyncClient, wanted: str = "/runs") -> str:
    answer = await http.get("/sign-in/oidc", params={"next": wanted})
    assert answer.status_code == 303
    return answer.headers["location"]


def refusal(answer: httpx2.Response) -> str:
    """The name of what went wrong, as the sign-in page is told."""
    assert answer.status_code == 303
    assert "keyturn=" not in answer.headers.get("set-cookie", "")
    query = httpx2.URL(answer.headers["location"]).params
    return query["error"]


async def audit_rows(store: Store) -> list[AuditRow]:
    async with store.read() as session:
        query = select(AuditRow).order_by(col(AuditRow.id))
        return list((await session.execute(query)).scalars())
