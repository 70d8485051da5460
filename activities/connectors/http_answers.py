"""What a service's answer to a write says: the one table for HTTP.

`docs/reference/connectors.md` shows the same table.
"""

import httpx2

from keyturn.orchestrator.rules.contract.connector import Known

# Statuses that say something else than their class does.
STATUSES = {
    # It has moved, and did nothing here; 301 to 303 may follow something that was done.
    307: Known.REFUSED,
    308: Known.REFUSED,
    # Our key is not taken, which a model cannot mend.
    401: Known.MEND,
    407: Known.MEND,
    # It gave up waiting, which says nothing of what it had begun.
    408: Known.NOT_KNOWN,
    # The wrong server, too early, too often: it has not begun.
    421: Known.NOT_SENT,
    425: Known.NOT_SENT,
    429: Known.NOT_SENT,
}
CLASSES = {2: Known.ACTED, 4: Known.REFUSED}

# Nobody was reached: no address, no connection, no TLS, no free place for one.
UNREACHED = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
)
# The address is none that can be asked.
NO_ADDRESS = (httpx2.InvalidURL, httpx2.UnsupportedProtocol)
# A header cannot be written; ids are encoded, so that it is our key for the service.
NO_HEADER = (httpx2.LocalProtocolError, UnicodeEncodeError)


def known_of(status: int) -> Known:
    """Return what a status says; of 1xx, 3xx, 5xx and strangers nothing is known."""
    return STATUSES.get(status) or CLASSES.get(status // 100, Known.NOT_KNOWN)


def known_of_error(error: Exception, before: Known) -> Known:
    """Return what a broken exchange says; `before` is what was known until then."""
    if isinstance(error, NO_ADDRESS):
        return Known.REFUSED
    if isinstance(error, NO_HEADER):
        return Known.MEND
    return Known.NOT_SENT if isinstance(error, UNREACHED) else before
