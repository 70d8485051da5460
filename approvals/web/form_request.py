"""Requests that parse long forms in a thread, as unquoting them is slow."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import FormData

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

# A form of this size is parsed in a few milliseconds.
MOST_AT_ONCE = 16_000


class FormRequest(Request):
    """A request that does not block others while its long form is parsed."""

    async def _get_form(
        self,
        *,
        max_files: float = 1000,
        max_fields: float = 1000,
        max_part_size: int = 1024 * 1024,
    ) -> FormData:
        async def read() -> FormData:
            return await super(FormRequest, self)._get_form(
                max_files=max_files, max_fields=max_fields, max_part_size=max_part_size
            )

        # Stored, so that a second read receives nothing from the network.
        if len(await self.body()) <= MOST_AT_ONCE:
            return await read()
        return await asyncio.to_thread(asyncio.run, read())


class FormRoute(APIRoute):
    """A route for forms that may be sent any number of times."""

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler on a `FormRequest`."""
        handle = super().get_route_handler()

        async def aside(request: Request) -> Response:
            return await handle(FormRequest(request.scope, request.receive))

        return aside
