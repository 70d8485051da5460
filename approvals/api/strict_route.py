"""Routes that parse JSON bodies once, strictly, and accept repeated POSTs."""

from collections import Counter
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from keyturn.approvals.api import idempotency
from keyturn.approvals.api.idempotency import Replay
from keyturn.approvals.auth.gate import gate
from keyturn.approvals.web.dependencies import parts_of
from keyturn.approvals.web.form_request import Handler
from keyturn.orchestrator.rules.errors import InvalidValue, MalformedJson
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.db import request_keys


class StrictRequest(Request):
    """A request whose JSON has unique keys, no NaN or lone surrogate, bounded depth."""

    async def json(self) -> Any:  # noqa: ANN401 as Starlette declares it
        """Return the parsed body, or refuse it with 400 and the reason."""
        if not hasattr(self, "_strict_json"):
            try:
                self._strict_json = await canonical.parse_aside(await self.body())
            except MalformedJson as error:
                # FastAPI lets only its own exceptions through from here.
                raise HTTPException(400, str(error)) from None
        return self._strict_json


class StrictRoute(APIRoute):
    """A route with a `StrictRequest`; stores responses under their `Idempotency-Key`."""

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler on a strict request."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            asked = StrictRequest(request.scope, request.receive)
            # FastAPI reads the body before it calls any dependency: without the gate here,
            # a stranger's body would be parsed and its errors reported.
            await gate(asked, parts_of(asked))
            _refuse_repeated(asked)
            try:
                async with request_keys.acting() as asked.state.acting:
                    response = await handle(asked)
            except Replay as replay:
                return _again(replay)
            except Exception as error:
                await idempotency.drop(asked, error)
                raise
            await idempotency.save(asked, response)
            return response

        return strict


def _refuse_repeated(request: Request) -> None:
    """Raise `InvalidValue` if a parameter is repeated: no route takes a list.

    Otherwise the last value would win, which misleads a reader who saw the first.
    """
    counted = Counter(name for name, _ in request.query_params.multi_items())
    twice = next((name for name, times in counted.items() if times > 1), None)
    if twice is not None:
        raise InvalidValue(
            f"{canonical.repair_text(twice)[:100]}: sent {counted[twice]} times; send it "
            "once"
        )


def _again(replay: Replay) -> Response:
    return Response(
        replay.kept.body,
        replay.kept.status,
        media_type="application/json",
        headers={idempotency.REPLAYED: "true"},
    )
