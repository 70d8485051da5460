"""What a service's answer says about a write: the only table for HTTP.

`docs/reference/connectors.md` shows the same table.
"""

import httpx2

from keyturn.orchestrator.rules.contract.connector import Known

# Statuses whose meaning differs from that of their class.
STATUSES = {
    # The service moved and did nothing here; 301 to 303 may follow a completed action.
    307: Known.REFUSED,
    308: Known.REFUSED,
    # The service refuses our key, which a model cannot repair.
    401: Known.NEEDS_REPAIR,
    407: Known.NEEDS_REPAIR,
    # The service stopped waiting, which says nothing about what it had begun.
    408: Known.NOT_KNOWN,
    # The wrong server, too early, too often: it has not begun.
    421: Known.NOT_SENT,
    425: Known.NOT_SENT,
    429: Known.NOT_SENT,
}
CLASSES = {2: Known.ACTED, 4: Known.REFUSED}

# The service was not reached: no address, no connection, no TLS, no free connection.
UNREACHED = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
)
# The address cannot be requested.
NO_ADDRESS = (httpx2.InvalidURL, httpx2.UnsupportedProtocol)
# A header cannot be written; ids are encoded, so it must be our key for the service.
NO_HEADER = (httpx2.LocalProtocolError, UnicodeEncodeError)


def known_of(status: int) -> Known:
    """Return what a status says; 1xx, 3xx, 5xx and unlisted statuses say nothing."""
    return STATUSES.get(status) or CLASSES.get(status // 100, Known.NOT_KNOWN)


def known_of_error(error: Exception, before: Known) -> Known:
    """Return what a broken exchange says; `before` is what was known until then."""
    if isinstance(error, NO_ADDRESS):
        return Known.REFUSED
    if isinstance(error, NO_HEADER):
        return Known.NEEDS_REPAIR
    return Known.NOT_SENT if isinstance(error, UNREACHED) else before
