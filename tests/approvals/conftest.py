"""A web application on a real store, and people of each role."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from tests.approvals import scraper
from tests.approvals.desk import Desk
from tests.approvals.people import People
from tests.databases import patient


@pytest.fixture
async def store(tables_url: str) -> AsyncIterator[Store]:
    """An empty record."""
    store = patient(tables_url)
    yield store
    await store.close()


@pytest.fixture
def app(store: Store) -> FastAPI:
    """The web application; nothing is delivered, the outbox keeps it."""
    settings = Settings(metrics_token=SecretStr(scraper.TOKEN))
    return create_app(settings, store, None, Signer(new_key()))


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application without sign-in or token."""
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://keyturn.test"
    ) as client:
        yield client


@pytest.fixture
def people(store: Store) -> People:
    return People(store)


@pytest.fixture
async def desk(store: Store) -> Desk:
    """One workflow, live."""
    desk = Desk(store)
    await desk.open()
    return desk
