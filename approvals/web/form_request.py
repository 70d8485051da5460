"""Requests whose forms are read aside: a long one takes its time to unquote."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import FormData

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

# A form of this size is read in a few milliseconds.
MOST_AT_ONCE = 16_000


class FormRequest(Request):
    """A request that lets others go on while a long form of it is read."""

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

        # Kept, so that nothing is received any more where it is read.
        if len(await self.body()) <= MOST_AT_ONCE:
            return await read()
        return await asyncio.to_thread(asyncio.run, read())


class FormRoute(APIRoute):
    """A route of forms that may be sent as often as one likes."""

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler on a `FormRequest`."""
        handle = super().get_route_handler()

        async def aside(request: Request) -> Response:
            return await handle(FormRequest(request.scope, request.receive))

        return aside
