"""The OpenAPI document, with problems under their own media type."""

from dataclasses import dataclass
from operator import is_
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from keyturn.approvals.web.problems import MEDIA_TYPE


@dataclass(frozen=True)
class _Made:
    """The last document and its source; all applications of a process share it."""

    of: tuple[APIRoute, ...]
    document: dict[str, Any]

    def fits(self, routes: tuple[APIRoute, ...]) -> bool:
        return len(routes) == len(self.of) and all(map(is_, routes, self.of))


_last: list[_Made] = []


class Application(FastAPI):
    """FastAPI with another media type for errors in the document."""

    def openapi(self) -> dict[str, Any]:
        """Return the document, cached for the same routes: it takes a second."""
        routes = tuple(
            one
            for one in self.routes
            if isinstance(one, APIRoute) and one.include_in_schema
        )
        if not _last or not _last[0].fits(routes):
            document = super().openapi()
            for path in document["paths"].values():
                for operation in path.values():
                    _rename(operation["responses"])
            _last[:] = [_Made(routes, document)]
        return _last[0].document


def _rename(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if status >= "400" and response.get("content"):
            [schema] = response["content"].values()
            response["content"] = {MEDIA_TYPE: schema}
