"""The web application: API, pages, sign-in."""

from pathlib import Path
from typing import cast

from fastapi import Depends, FastAPI
from fastapi.staticfiles import StaticFiles

from approvals.api import router as api
from approvals.auth import oidc, oidc_routes
from approvals.auth import routes as sign_in
from approvals.auth.cookies import Rotation
from approvals.auth.gate import gate
from approvals.inbox import routes as inbox
from approvals.ops import routes as ops
from approvals.view.amounts import ViewersLocale
from approvals.web import error_handlers, health
from approvals.web.admission import Admission
from approvals.web.dependencies import Parts
from approvals.web.middleware import BodyLimit, Measured, SecurityHeaders
from approvals.web.openapi import Application
from approvals.web.quotas import Counted
from approvals.web.routing import PREFIX, attach
from approvals.web.verification import Verification
from approvals.web.watcher import Watcher
from orchestrator.dispatch.dispatcher import Deliverer
from orchestrator.rules.authority.binding import Signer
from orchestrator.rules.settings import Settings
from orchestrator.store.db.database import Store
from orchestrator.store.integrity import verification

STATIC = Path(__file__).parents[1] / "static"


def create_app(
    settings: Settings, store: Store, deliverer: Deliverer | None, signer: Signer
) -> FastAPI:
    """Return the application on parts that the caller built and will close."""
    app = build()
    app.state.parts = Parts(
        settings=settings,
        store=store,
        deliverer=deliverer,
        signer=signer,
        watcher=Watcher(store),
        verification=Verification(verification.keys(settings)),
        oidc=oidc.of(settings),
    )
    return app


async def finish(app: FastAPI) -> None:
    """End what an application does beside its answers, before its parts are closed."""
    await cast("Parts", app.state.parts).finish()


def build() -> FastAPI:
    """Return the application without parts: its routes, and what stands before them."""
    app = Application(
        title="Keyturn",
        version="1",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        # It would lead to whatever host the request names.
        redirect_slashes=False,
        dependencies=[Depends(gate)],
    )
    app.add_middleware(Counted)
    app.add_middleware(ViewersLocale)
    app.add_middleware(Rotation)
    app.add_middleware(error_handlers.CatchBugs)
    app.add_middleware(BodyLimit)
    app.add_middleware(Admission)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Measured)
    error_handlers.install(app)
    attach(
        app,
        (
            *api.ROUTERS,
            health.router,
            sign_in.router,
            oidc_routes.router,
            *inbox.ROUTERS,
            *ops.ROUTERS,
        ),
    )
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False), name="static")
    return app
