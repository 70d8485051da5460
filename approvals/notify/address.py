"""Addresses of webhooks: https to the public net, looked up and checked each time.

Notices are posted from inside the network; without these checks a webhook could make
our server send requests to internal services (SSRF).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from keyturn.approvals.notify.errors import BadAddress, NotDelivered

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# IPv6 networks whose addresses embed an IPv4 address, which is the destination.
_NAT64 = IPv6Network("64:ff9b::/96")
# Not public, though Python says so: deprecated IPv4-compatible addresses, local-use
# translation (NAT64), site-local addresses, segment routing.
_INSIDE = tuple(
    IPv6Network(one)
    for one in (
        "::/96",
        "::ffff:0:0:0/96",
        "64:ff9b:1::/48",
        "fec0::/10",
        "3fff::/20",
        "5f00::/16",
    )
)
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Target:
    """A checked address to connect to, with the host's name."""

    parts: SplitResult
    host: str
    port: int
    addresses: tuple[str, ...]

    def url(self, address: str) -> str:
        """Return the URL with the host's name replaced by an address."""
        shown = f"[{address}]" if ":" in address else address
        netloc = f"{shown}:{self.port}"
        return self.parts._replace(netloc=netloc, fragment="").geturl()

    @property
    def host_header(self) -> str:
        """Return the `Host` header for the receiver."""
        return self.parts.netloc


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name from the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


def check(url: str, *, private: bool) -> SplitResult:
    """Return the URL's parts, or raise `BadAddress`; resolves no name."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadAddress(f"url: {url!r} is not a valid URL: {error}") from None
    host = parts.hostname
    if not host or parts.username is not None or parts.password is not None:
        raise BadAddress(f"url: {url!r} must have a host, and no user or password")
    if not url.isascii() or any(char.isspace() for char in url):
        raise BadAddress(f"url: {url!r} has a character that must be percent-encoded")
    is_plain = parts.scheme == "http" and private and host in _LOOPBACK_NAMES
    if parts.scheme != "https" and not is_plain:
        raise BadAddress(
            f"url: {url!r} is not https; use https. Plain http is allowed only for "
            "this machine, if KEYTURN_WEBHOOK_PRIVATE is set"
        )
    if port == 0:
        raise BadAddress(
            f"url: {url!r} has port 0; leave the port out or use another one"
        )
    _check_literal(host, private=private)
    return parts


async def locate(url: str, *, private: bool, look_up: Resolve = resolve) -> Target:
    """Return the addresses that a URL resolves to now.

    Raises `BadAddress` if one is not public, `NotDelivered` if the name does not
    resolve.
    """
    parts = check(url, private=private)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = await look_up(host, port)
    except (OSError, UnicodeError) as error:
        raise NotDelivered(f"{host} could not be resolved: {error}") from None
    if not private and not all(is_public(ip_address(one)) for one in found):
        raise BadAddress(
            f"{host} resolves to an address that is not public; notices go only to public "
            "addresses, unless KEYTURN_WEBHOOK_PRIVATE is set"
        )
    return Target(parts, host, port, tuple(dict.fromkeys(found)))


def is_public(address: Address) -> bool:
    """Tell whether an address is public, also one embedded in IPv6."""
    inner = _inner(address)
    if inner is not None:
        return is_public(inner)
    if any(address in network for network in _INSIDE):
        return False
    return address.is_global and not address.is_multicast


def _inner(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo


def _check_literal(host: str, *, private: bool) -> None:
    """Refuse a literal address at once; names are checked at each send."""
    try:
        address = ip_address(host)
    except ValueError:
        return
    if not private and not is_public(address):
        raise BadAddress(f"url: {host} is not a public address; use a public one")
