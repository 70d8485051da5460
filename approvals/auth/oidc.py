"""Signing in through an OpenID provider: authorization code with PKCE, state, nonce.

A provider's claims are trusted only after signature, issuer, audience, time and nonce
have been checked. They establish identity, never permissions.
"""

import asyncio
import base64
import json
import secrets
import ssl
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from keyturn.activities import http_client
from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.rules.settings import Settings, SettingsError
from keyturn.orchestrator.rules.text import json_object

log = structlog.get_logger()

CALLBACK = "/sign-in/oidc/callback"
SCOPE = "openid email"
TIMEOUT_S = 5.0
# For all requests of one sign-in: headers sent byte by byte evade the time-out above.
IN_ALL_S = 15.0
LEEWAY_S = 60
# The provider's metadata and keys take some kilobytes.
LARGEST = 1024 * 1024
# How long its metadata is cached; its keys are cached until an unknown one appears.
KEPT_S = 3600
# Only asymmetric algorithms: `none` has no signature, and HS… would accept tokens signed
# with the provider's public key or our secret.
ALGORITHMS = [
    *(f"{kind}{bits}" for kind in ("RS", "PS") for bits in (256, 384, 512)),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
]

Json = dict[str, Any]

_NO_JSON = (ValueError, RecursionError)
# What the libraries raise if a provider's answer has an unexpected shape.
_MALFORMED = (
    AuthlibBaseError,
    JoseError,
    TypeError,
    LookupError,
    AttributeError,
    *_NO_JSON,
)


class ProviderAway(KeyturnError):
    """The OpenID provider does not answer, or its answer is invalid."""


class IdentityRefused(KeyturnError):
    """The provider's response does not prove a person's identity."""


@dataclass(frozen=True)
class Flow:
    """A sign-in in progress, stored in the browser that began it."""

    state: str
    nonce: str
    verifier: str
    wanted: str
    # The session to confirm; empty if a new one is to begin.
    confirms: str = ""

    def pack(self) -> str:
        """Return the text for a cookie."""
        return base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()

    @staticmethod
    def unpack(text: str) -> "Flow | None":
        """Return what `pack` gave, or None."""
        try:
            value = json.loads(base64.urlsafe_b64decode(text.encode()))
            found = {name: str(value[name]) for name in _FLOW}
            found["confirms"] = str(value.get("confirms", ""))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return Flow(**found) if "".join(found.values()).isascii() else None


_FLOW = ("state", "nonce", "verifier", "wanted")


@dataclass(frozen=True)
class Identity:
    """A person's identity at the provider; `email` is None if it is not verified.

    `signed_in_at` is the time of their last sign-in there (`auth_time`), if given.
    """

    issuer: str
    subject: str
    email: str | None
    signed_in_at: datetime | None = None


class OpenIdProvider:
    """The OpenID provider of an installation."""

    def __init__(
        self, *, issuer: str, client_id: str, secret: str | None, public_url: str
    ) -> None:
        """Take the settings; sends no request to the provider yet."""
        self.issuer = issuer
        self.host = urlsplit(issuer).netloc
        self._client_id = client_id
        self._secret = secret
        self._redirect = f"{public_url.rstrip('/')}{CALLBACK}"
        self._metadata: Json | None = None
        self._metadata_until = 0.0
        self._keys: KeySet | None = None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Read the machine's certificates once: it takes longer than a request."""
        return httpx2.create_ssl_context()

    async def begin(self, wanted: str, *, confirms: str = "") -> tuple[str, Flow]:
        """Return the provider's URL for this browser, and the flow to store in it.

        With `confirms`, a session's id, the provider asks for a new sign-in. Raises
        `ProviderAway`.
        """
        flow = Flow(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            wanted=wanted,
            confirms=confirms,
        )
        anew = {"prompt": "login", "max_age": "0"} if confirms else {}
        metadata = await self._discover()
        async with self._client(metadata) as client:
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"],
                state=flow.state,
                nonce=flow.nonce,
                code_verifier=flow.verifier,
                **anew,
            )
        return str(url), flow

    async def finish(self, flow: Flow, *, code: str) -> Identity:
        """Return the code's identity; raises `ProviderAway` or `IdentityRefused`."""
        metadata = await self._discover()
        try:
            async with asyncio.timeout(IN_ALL_S), self._client(metadata) as client:
                token: Json = await client.fetch_token(
                    metadata["token_endpoint"], code=code, code_verifier=flow.verifier
                )
                claims = await self._verified(token, nonce=flow.nonce)
                found = await self._address_claims(client, metadata, claims)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise self._away(error) from error
        except _MALFORMED as error:
            log.warning("oidc.refused", issuer=self.issuer, error=repr(error))
            raise IdentityRefused(
                "The sign-in service's answer does not prove your identity. Sign in again."
            ) from error
        email = found.get("email")
        is_verified = found.get("email_verified") is True and isinstance(email, str)
        subject = str(claims["sub"])
        return Identity(
            self.issuer,
            subject,
            str(email) if is_verified else None,
            _signed_in_at(claims),
        )

    async def _verified(self, token: Json, *, nonce: str) -> Mapping[str, Any]:
        """Return the ID token's claims, or raise; copes with rotated provider keys."""
        encoded = token.get("id_token")
        if not isinstance(encoded, str):
            raise IdentityRefused("The sign-in service sent no ID token.")
        try:
            found = self._decode(encoded, await self._key_set(is_fresh=False))
        except (InvalidKeyIdError, BadSignatureError):
            found = self._decode(encoded, await self._key_set(is_fresh=True))
        options: Json = {
            "iss": {"essential": True, "value": self.issuer},
            "sub": {"essential": True},
            "aud": {"essential": True, "value": self._client_id},
            "exp": {"essential": True},
        }
        given = {
            "nonce": nonce,
            "client_id": self._client_id,
            "access_token": token.get("access_token"),
        }
        claims: Any = CodeIDToken(found.claims, found.header, options, given)
        claims.validate(leeway=LEEWAY_S)
        return claims

    def _decode(self, encoded: str, keys: KeySet) -> jwt.Token:
        return jwt.decode(encoded, keys, algorithms=ALGORITHMS)

    async def _address_claims(
        self,
        client: Any,  # noqa: ANN401 Authlib has no types
        metadata: Json,
        claims: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        """Return the claims about the address, from the ID token or from userinfo.

        Ignores userinfo about another subject.
        """
        if "email_verified" in claims or "userinfo_endpoint" not in metadata:
            return claims
        answer = await client.get(metadata["userinfo_endpoint"])
        answer.raise_for_status()
        found = answer.json()
        if not json_object.is_object(found):
            return {}
        return found if found.get("sub") == claims["sub"] else {}

    async def _discover(self) -> Json:
        if self._metadata is None or time.monotonic() > self._metadata_until:
            url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = await self._fetch(url)
            if found.get("issuer") != self.issuer:
                raise ProviderAway(
                    f"{url} belongs to the issuer {found.get('issuer')!r}, not to "
                    f"{self.issuer!r}; correct KEYTURN_OIDC_ISSUER."
                )
            self._metadata = self._usable(found)
            self._metadata_until = time.monotonic() + KEPT_S
        return self._metadata

    def _usable(self, found: Json) -> Json:
        """Return the metadata if it is complete and as safe as the issuer."""
        scheme = f"{urlsplit(self.issuer).scheme}://"
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not str(found.get(name, "")).startswith((scheme, "https://")):
                raise ProviderAway(
                    f"The metadata of {self.issuer} has no usable {name}."
                )
        return found

    async def _key_set(self, *, is_fresh: bool) -> KeySet:
        if self._keys is None or is_fresh:
            found = await self._fetch((await self._discover())["jwks_uri"])
            self._keys = KeySet.import_key_set(cast("Any", found))
        return self._keys

    async def _fetch(self, url: str) -> Json:
        try:
            client = http_client.client(
                largest=LARGEST, timeout=TIMEOUT_S, verify=self._tls
            )
            async with asyncio.timeout(IN_ALL_S), client:
                answer = await client.get(url)
                answer.raise_for_status()
                found = answer.json()
        except (
            httpx2.HTTPError,
            httpx2.InvalidURL,
            TimeoutError,
            *_NO_JSON,
        ) as error:
            raise self._away(error) from error
        if not json_object.is_object(found):
            raise ProviderAway(f"{url} did not return a JSON object.")
        return found

    def _away(self, error: Exception) -> ProviderAway:
        log.warning("oidc.away", issuer=self.issuer, error=repr(error))
        return ProviderAway(f"The sign-in service {self.issuer} does not answer.")

    def _client(self, metadata: Json) -> Any:  # noqa: ANN401 Authlib has no types
        return AsyncOAuth2Client(
            client_id=self._client_id,
            client_secret=self._secret,
            token_endpoint_auth_method=self._auth_method(metadata),
            redirect_uri=self._redirect,
            scope=SCOPE,
            leeway=0,
            code_challenge_method="S256",
            timeout=TIMEOUT_S,
            verify=self._tls,
            **http_client.bounds(largest=LARGEST),
        )

    def _auth_method(self, metadata: Json) -> str:
        if self._secret is None:
            return "none"
        known = metadata.get("token_endpoint_auth_methods_supported")
        usual = "client_secret_basic"
        is_usual = not isinstance(known, list) or not known or usual in known
        return usual if is_usual else "client_secret_post"


def _signed_in_at(claims: Mapping[str, Any]) -> datetime | None:
    seconds = claims.get("auth_time")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):  # not a valid time
        return None


def of(settings: Settings) -> OpenIdProvider | None:
    """Return the provider that the settings name, or None; raises `SettingsError`."""
    issuer, client_id = settings.oidc_issuer, settings.oidc_client_id
    if issuer is None and client_id is None and settings.oidc_client_secret is None:
        return None
    if issuer is None or client_id is None or settings.public_url is None:
        raise SettingsError(
            "Sign-in by OIDC needs KEYTURN_OIDC_ISSUER, KEYTURN_OIDC_CLIENT_ID and "
            "KEYTURN_PUBLIC_URL, the address that the provider sends people back to. "
            "Set them, or none of KEYTURN_OIDC_…."
        )
    _refuse_unsafe(issuer)
    secret = settings.oidc_client_secret
    return OpenIdProvider(
        issuer=issuer,
        client_id=client_id,
        secret=secret.get_secret_value() if secret else None,
        public_url=settings.public_url,
    )


def _refuse_unsafe(issuer: str) -> None:
    parts = urlsplit(issuer)
    is_here = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not parts.netloc or not (
        parts.scheme == "https" or (parts.scheme == "http" and is_here)
    ):
        raise SettingsError(
            f"KEYTURN_OIDC_ISSUER={issuer!r} is not an https address, so others could forge "
            "identities. Set it to the issuer exactly as the provider writes it."
        )
