"""No route is taken whose router leaves out the gate."""

import pytest
from fastapi import APIRouter, FastAPI

from keyturn.approvals.web.routing import attach, of_pages


async def page() -> None:
    """What a route answers with."""


def test_a_router_without_the_gate_is_refused() -> None:
    app, router = FastAPI(), APIRouter()
    router.add_api_route("/open", page)

    with pytest.raises(TypeError, match=r"/open.* has no permission gate"):
        attach(app, [router])


def test_routers_in_a_router_are_refused() -> None:
    app, outer, inner = FastAPI(), of_pages(), of_pages()
    inner.add_api_route("/inner", page)
    outer.include_router(inner)

    with pytest.raises(TypeError, match="has no permission gate"):
        attach(app, [outer])
