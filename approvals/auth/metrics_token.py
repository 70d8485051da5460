"""Access to `/metrics`: only with the token from this server's settings."""

import secrets

from fastapi import Request

from keyturn.approvals.web.dependencies import Parts
from keyturn.approvals.web.errors import NotSignedIn

SETTING = "KEYTURN_METRICS_TOKEN"


def check(request: Request, parts: Parts) -> None:
    """Raise `NotSignedIn` if the token is wrong or missing, or if none is set."""
    own = parts.settings.metrics_token
    if own is None or not own.get_secret_value():
        raise NotSignedIn(
            f"/metrics is closed: {SETTING} is not set. Give the web server one "
            "(`openssl rand -hex 24`), restart it, and let Prometheus send it as "
            "`Authorization: Bearer …`."
        )
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    is_right = secrets.compare_digest(
        sent.strip().encode(), own.get_secret_value().encode()
    )
    if scheme.lower() != "bearer" or not is_right:
        raise NotSignedIn(
            f"/metrics accepts only `Authorization: Bearer …` with the value of {SETTING} "
            "from the web server's settings, not the token of a person or service."
        )
