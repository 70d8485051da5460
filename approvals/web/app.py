"""The web application: API, pages, sign-in."""

from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi.staticfiles import StaticFiles

from keyturn.approvals.api import router as api
from keyturn.approvals.auth import oidc, oidc_routes
from keyturn.approvals.auth import routes as sign_in
from keyturn.approvals.auth.cookies import Rotation
from keyturn.approvals.auth.gate import gate
from keyturn.approvals.inbox import routes as inbox
from keyturn.approvals.ops import routes as ops
from keyturn.approvals.view.amounts import ViewersLocale
from keyturn.approvals.web import error_handlers, health
from keyturn.approvals.web.admission import Admission
from keyturn.approvals.web.dependencies import Parts
from keyturn.approvals.web.middleware import BodyLimit, Measured, SecurityHeaders
from keyturn.approvals.web.openapi import Application
from keyturn.approvals.web.quotas import Counted
from keyturn.approvals.web.routing import PREFIX, attach
from keyturn.approvals.web.verification import Verification
from keyturn.approvals.web.watcher import Watcher
from keyturn.orchestrator.dispatch.dispatcher import Deliverer
from keyturn.orchestrator.rules.authority.binding import Signer
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.integrity import verification

STATIC = Path(__file__).parents[1] / "static"


def create_app(
    settings: Settings, store: Store, deliverer: Deliverer | None, signer: Signer
) -> FastAPI:
    """Return the application with parts that the caller built and will close."""
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
    """Finish an application's background work, before its parts are closed."""
    parts: Parts = app.state.parts
    await parts.finish()


def build() -> FastAPI:
    """Return the application without parts: its routes and middleware."""
    app = Application(
        title="Keyturn",
        version="1",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        # It would redirect to any host that the request names.
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
