"""The web application as tests start it, hundreds of times."""

import copy
from functools import cache

from fastapi import FastAPI
from starlette.datastructures import State
from starlette.routing import BaseRoute

from approvals.app import build, equip
from approvals.delivery import Deliverer
from orchestrator.binding import Signer
from orchestrator.settings import Settings
from orchestrator.store.engine import Store


def application(
    settings: Settings, store: Store, deliverer: Deliverer | None, signer: Signer
) -> FastAPI:
    """What `create_app` returns; its routes, half a second's work, are built once."""
    app, routes = _built()
    # What an earlier test added to the shared routes is not there for this one.
    app.router.routes[:] = routes
    app = copy.copy(app)
    app.state = State({"routes_by_endpoint": app.state.routes_by_endpoint})
    return equip(app, settings, store, deliverer, signer)


@cache
def _built() -> tuple[FastAPI, tuple[BaseRoute, ...]]:
    app = build()
    return app, tuple(app.router.routes)
