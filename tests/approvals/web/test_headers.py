"""What binds the browser is on every answer: pages, errors, files, streams, the API."""

import re

import httpx2
import pytest
from fastapi import FastAPI

from keyturn.approvals.auth import permissions
from keyturn.approvals.web.app import create_app
from keyturn.approvals.web.middleware import HEADERS
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from tests.approvals.auth import routes
from tests.approvals.auth.asgi import Answer, ask
from tests.approvals.people import People

PARAMETER = re.compile(r"\{\w+\}")
BROWSER = {"accept": "text/html"}
HTTPS = "https://keyturn.example"


@pytest.fixture
def tables_url(sqlite_tables: str) -> str:
    """One of them: headers do not come from a database."""
    return sqlite_tables


def _paths(app: FastAPI) -> list[tuple[str, str]]:
    """Every route, with a word where its path names something."""
    found = [
        (route.method, PARAMETER.sub("nothing", route.path))
        for route in routes.every(app)
    ]
    return [*found, ("GET", "/no/such/page"), ("POST", "/api/v1/nothing"), ("PUT", "/")]


def _missing(headers: dict[str, str]) -> list[str]:
    missing = [name for name in HEADERS if headers.get(name.lower()) != HEADERS[name]]
    policy = headers.get("content-security-policy", "")
    if "frame-ancestors 'none'" not in policy or "unsafe" in policy:
        missing.append("a strict policy")
    return missing


def _plain(answer: Answer) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in answer.headers.items()}


async def test_every_answer_binds_the_browser(app: FastAPI, people: People) -> None:
    admin = await people.token("ada", role="admin")
    wrong: list[str] = []

    for method, path in _paths(app):
        for who in ({}, {"authorization": admin["Authorization"]}):
            answer = await ask(app, method, path, headers={**BROWSER, **who})
            missing = _missing(_plain(answer))
            if not path.startswith("/static/"):
                kept = _plain(answer).get("cache-control")
                missing += [] if kept == "no-store" else [f"no-store, not {kept}"]
            if missing:
                wrong.append(f"{method} {path} ({answer.status}): {missing}")

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("url", "has_it"), [(HTTPS, True), ("http://keyturn.example", False), (None, False)]
)
async def test_only_over_https_browsers_are_told_to_insist_on_it(
    store: Store,
    url: str | None,
    has_it: bool,  # noqa: FBT001 a table's column
) -> None:
    app = create_app(Settings(public_url=url), store, None, Signer(new_key()))

    answers = [await ask(app, "GET", path) for path in ("/", "/nothing", "/sign-in")]

    assert {"strict-transport-security" in _plain(one) for one in answers} == {has_it}


async def test_a_fault_of_ours_and_a_large_body_bind_it_too(
    app: FastAPI, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> None:
        raise RuntimeError("broken")

    known = {**permissions.ROUTES, "GET /broken": "public"}
    monkeypatch.setattr(permissions, "ROUTES", known)
    app.add_api_route("/broken", broken, include_in_schema=False)
    fault = await http.get("/broken")
    large = await http.post("/sign-in", content=b"x" * 3_000_000)

    assert (fault.status_code, large.status_code) == (500, 413)
    for one in (fault, large):
        assert not _missing(dict(one.headers))
        assert one.headers["cache-control"] == "no-store"
