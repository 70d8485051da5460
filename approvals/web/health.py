"""Liveness, readiness and metrics of this process."""

import asyncio
from typing import Literal

from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text
from temporalio.service import RPCError

from keyturn.approvals.web import metrics, routing
from keyturn.approvals.web.dependencies import PartsDep
from keyturn.orchestrator.dispatch.dispatcher import Deliverer
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.views import metrics as view_metrics

router = routing.of_pages()

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
PATIENCE_S = 2.0

State = Literal["ok", "away", "not used"]


class Readiness(BaseModel):
    """Which services are available; without Temporal, decisions are stored and wait."""

    model_config = ConfigDict(frozen=True)

    store: State
    temporal: State


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Tell that this process is alive."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(parts: PartsDep) -> JSONResponse:
    """Tell whether the store and Temporal are available; 503 if one is not."""
    store, temporal = await asyncio.gather(
        _of_store(parts.store), _of_temporal(parts.deliverer)
    )
    found = Readiness(store=store, temporal=temporal)
    is_ready = "away" not in (store, temporal)
    return JSONResponse(found.model_dump(), 200 if is_ready else 503)


@router.get("/metrics")
async def show_metrics(parts: PartsDep) -> Response:
    """Return the metrics in Prometheus' text format, at most a few seconds old."""

    async def counted() -> bytes:
        return metrics.exposition(parts.latency, await view_metrics.read(parts.store))

    body = await parts.figures.result(counted)
    return Response(body, media_type=PROMETHEUS)


async def _of_store(store: Store) -> State:
    try:
        async with asyncio.timeout(PATIENCE_S), store.read() as session:
            await session.execute(text("SELECT 1"))
    except (StoreUnavailable, TimeoutError):
        return "away"
    return "ok"


async def _of_temporal(deliverer: Deliverer | None) -> State:
    if deliverer is None:
        return "not used"
    try:
        async with asyncio.timeout(PATIENCE_S):
            await deliverer.client.service_client.check_health()
    except (RPCError, RuntimeError, TimeoutError):
        return "away"
    return "ok"
