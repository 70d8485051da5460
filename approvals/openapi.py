"""The OpenAPI document, with problems under their own media type."""

from typing import Any

from fastapi import FastAPI

from approvals.problems import MEDIA_TYPE


class Application(FastAPI):
    """FastAPI, but for the media type of its errors in the document."""

    def openapi(self) -> dict[str, Any]:
        """Return the document, made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            for path in document["paths"].values():
                for operation in path.values():
                    _rename(operation["responses"])
        return self.openapi_schema or {}


def _rename(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if status >= "400" and response.get("content"):
            [schema] = response["content"].values()
            response["content"] = {MEDIA_TYPE: schema}
