"""All routes of the application, and how to ask for each of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from tests.approvals.auth.estate import Key, World

API = "/api/v1"
# The noun before a parameter says what the parameter names.
PLACE = re.compile(r"/([a-z-]+)/\{\w+\}")
LIVE = ("/live", "/events")

# What a route takes when it is to act. Asked for an object of another tenant, even a
# right body finds nothing; without one the answer would be about the body.
BODIES: Mapping[str, Mapping[str, object]] = {
    "POST /api/v1/runs/{id}/messages": {"text": "Hello?"},
    "POST /api/v1/runs/{id}/notes": {"text": "Seen."},
    "POST /api/v1/runs/{id}:pause": {"reason": "to look"},
    "POST /api/v1/runs/{id}:resume": {"reason": "to look"},
    "POST /api/v1/runs/{id}:cancel": {"reason": "to look"},
    "POST /api/v1/runs/{id}:done-outside": {"text": "Done by phone."},
    "POST /api/v1/approvals/{id}:decide": {"decision": "approve", "binding": "0" * 64},
    "POST /api/v1/approvals/{id}:claim": {},
    "POST /api/v1/approvals/{id}:extend": {"minutes": 10, "reason": "to ask"},
    "POST /api/v1/approvals/{id}:undo": {"reason": "a slip"},
    "PUT /api/v1/switches/{id}": {
        "scope": {"tenant": "alder"},
        "mode": "halt",
        "reason": "to stop it",
    },
    "POST /api/v1/proposals/{id}:decline": {"reason": "not yet"},
    "POST /ops/proposals/{proposal}": {"answer": "confirm"},
    "POST /api/v1/effects/{key}:record": {"happened": True, "evidence": "A receipt."},
    "POST /api/v1/effects/{key}:reopen": {"how": "failed", "words": "A letter."},
    "POST /api/v1/effects/{key}:compensate": {"reason": "A slip."},
    "POST /effects/{key}/compensate": {"reason": "A slip."},
    "POST /effects/{key}/reopen": {"how": "failed", "words": "A letter."},
    "POST /api/v1/incidents/{id}:close": {"reason": "It is put right."},
    "POST /incidents/{incident}/close": {"reason": "It is put right."},
    "PATCH /api/v1/people/{id}": {"name": "Another"},
    "PUT /api/v1/people/{id}/access": {"role": "admin", "tenant": "alder"},
    "POST /api/v1/people/{id}:password": {"password": None},
    "POST /api/v1/people/{id}/tokens": {"name": "a token"},
    "POST /settings/people/{person}/profile": {"name": "Another"},
    "POST /settings/people/{person}/access": {"role": "admin", "tenant": "alder"},
    "POST /settings/people/{person}/password": {"password": "a new password"},
    "POST /settings/people/{person}/open": {"wanted": "closed", "sure": "yes"},
    "POST /settings/people/{person}/tokens": {"name": "a token"},
    "POST /settings/people/{person}/items": {"reason": "to share"},
    "POST /webhooks/{webhook}/remove": {"sure": "yes"},
    "POST /inbox/{approval}/opened": {"binding": "0" * 64},
    "POST /inbox/{approval}/claim": {},
    "POST /inbox/{approval}/keep": {},
    "POST /inbox/{approval}/assign": {"reason": "to share"},
    "POST /inbox/{approval}/extend": {"minutes": "10", "reason": "to ask"},
    "POST /inbox/{approval}/draft": {"reason": "a draft"},
    "POST /inbox/{approval}/decide": {"decision": "approve", "binding": "0" * 64},
    "POST /inbox/{approval}/edit": {"binding": "0" * 64, "reason": "less"},
    "POST /handoffs/{run}/notes": {"kind": "note", "text": "Seen."},
    "POST /runs/{run}/hold": {"control": "pause", "reason": "to look"},
    "POST /runs/{run}/notes": {"text": "Seen."},
    "POST /ops/switches/{switch}/clear": {"reason": "it is over"},
    "POST /effects/{key}/record": {"happened": "yes", "evidence": "A receipt."},
}
QUERIES = {"DELETE /api/v1/switches/{id}": "reason=over"}


@dataclass(frozen=True)
class Route:
    """A route as the table names it."""

    method: str
    path: str
    has_gate: bool

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_page(self) -> bool:
        return not self.path.startswith(API)

    @property
    def is_live(self) -> bool:
        return self.path.endswith(LIVE)

    def nouns(self) -> list[str]:
        """What its path names: `runs`, `switches`, …"""
        return PLACE.findall(self.path)

    def is_bound(self, world: World) -> bool:
        """Tell whether its path names what belongs to a tenant or a person."""
        return bool([noun for noun in self.nouns() if noun not in world.shared])

    def at(self, world: World, ids: Mapping[str, str], key: Key | None) -> str:
        """Its path with the ids of what exists, `key` being whose own things count."""
        spare = {
            "tokens": key.spare if key else "token-of-nobody",
            "sessions": key.spare_sessions[0 if self.is_page else 1]
            if key
            else "session-of-nobody",
        }
        known = {**spare, **world.shared, **ids}

        def name(found: re.Match[str]) -> str:
            noun = found[1]
            if noun == "tokens" and "/people/" in self.path:
                noun = "people/tokens"
            assert noun in known, (
                f"{self.name}: no test object for /{noun}/{{…}}. Seed one for each "
                f"tenant in tests/approvals/auth/estate.py, as `ids[{noun!r}]`; or name "
                "it in World.shared where it belongs to no tenant."
            )
            return f"/{found[1]}/{known[noun]}"

        return PLACE.sub(name, self.path)


def every(app: FastAPI) -> list[Route]:
    """All routes: the API, pages, live streams, static files, health, metrics."""
    found: list[Route] = []
    for context in iter_route_contexts(app.routes):
        path = context.path or ""
        if context.methods is None:  # a folder of files
            found.append(Route("GET", f"{path}/{{path}}", has_gate=False))
            continue
        # The framework's own have no endpoint of ours, and no dependencies.
        has_gate = isinstance(context.original_route, APIRoute)
        methods = sorted(context.methods - {"HEAD"})
        found += [Route(method, path, has_gate) for method in methods]
    return found
