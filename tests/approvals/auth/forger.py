"""A provider that says whatever a test wants, signed or not."""

import base64
import hmac
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.approvals.auth.served import served

CLIENT = "keyturn"
Json = dict[str, Any]
Endpoint = Callable[[Request], Awaitable[Response]]


@cache
def _usual_key() -> RSAKey:
    """One for all tests: to make one takes longer than a sign-in."""
    return new_key("one")


def new_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


def _by_hand(header: Json, claims: Json, secret: bytes | None) -> str:
    """A token that a library refuses to make."""
    parts = [_encoded(json.dumps(one).encode()) for one in (header, claims)]
    text = ".".join(parts)
    signed = hmac.digest(secret, text.encode(), "sha256") if secret else b""
    return f"{text}.{_encoded(signed)}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass
class Forger:
    """Its keys, and what the next ID token says besides what a right one would.

    `answers` are whole bodies, by the name of the endpoint that gives them instead.
    """

    issuer: str = ""
    key: RSAKey = field(default_factory=_usual_key)
    claims: Json = field(default_factory=dict[str, Any])
    userinfo: Json = field(default_factory=dict[str, Any])
    kind: str = "right"
    nonce: str = ""
    answers: dict[str, bytes] = field(default_factory=dict[str, bytes])
    asked: list[Json] = field(default_factory=list[Json])

    async def sign_in(self, address: str) -> str:
        """What a browser does here; returns the query that it is sent back with."""
        asked = parse_qs(urlsplit(address).query)
        self.nonce = asked["nonce"][0]
        return f"code=a-code&state={asked['state'][0]}"

    def id_token(self) -> str:
        now = int(time.time())
        right = {
            "iss": self.issuer,
            "sub": "subject-1",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            "email": "ann@shop.example",
            "email_verified": True,
        }
        changed = {**right, **self.claims}
        claims = {name: v for name, v in changed.items() if v is not None}
        match self.kind:
            case "unsigned":
                return _by_hand({"alg": "none"}, claims, None)
            case "public key as secret":
                secret = self.key.as_pem(private=False)
                return _by_hand({"alg": "HS256", "kid": "one"}, claims, secret)
            case "of a stranger":
                return jwt.encode(
                    {"alg": "RS256", "kid": "one"}, claims, new_key("one")
                )
            case _:
                kid = str(self.key.kid)
                return jwt.encode({"alg": "RS256", "kid": kid}, claims, self.key)

    def endpoint(self, name: str, usual: Endpoint) -> Endpoint:
        """The endpoint, which answers as usual where the test says nothing else."""

        async def answered(request: Request) -> Response:
            if name in self.answers:
                return Response(self.answers[name], media_type="application/json")
            return await usual(request)

        return answered

    async def discovery(self, _: Request) -> JSONResponse:
        names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
        found = {name: f"{self.issuer}/{name}" for name in names}
        jwks = {"jwks_uri": f"{self.issuer}/jwks"}
        return JSONResponse({"issuer": self.issuer, **found, **jwks})

    async def jwks(self, _: Request) -> JSONResponse:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def token(self, request: Request) -> JSONResponse:
        self.asked.append(dict(await request.form()))
        answer = {"access_token": "t", "token_type": "Bearer", "expires_in": 60}
        return JSONResponse({**answer, "id_token": self.id_token()})

    async def told(self, _: Request) -> JSONResponse:
        return JSONResponse(self.userinfo)


@asynccontextmanager
async def forging() -> AsyncGenerator[Forger]:
    forger = Forger()
    routes = [
        Route(
            "/.well-known/openid-configuration",
            forger.endpoint("discovery", forger.discovery),
        ),
        Route("/jwks", forger.endpoint("jwks", forger.jwks)),
        Route(
            "/token_endpoint", forger.endpoint("token", forger.token), methods=["POST"]
        ),
        Route("/userinfo_endpoint", forger.endpoint("userinfo", forger.told)),
    ]
    async with served(Starlette(routes=routes)) as address:
        forger.issuer = address
        yield forger
