"""What a request may reach: a tenant's shop, as the customer whom its headers name."""

import hmac
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Header, Path, Request

from examples.retail.shop.counter import Counter
from examples.retail.shop.errors import NotSignedIn, NoWriteToken
from examples.retail.shop.shops import Shop, Shops

Tenant = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")]


def find_shop(tenant: Tenant, request: Request) -> Shop:
    """Give the tenant's shop."""
    shops: Shops = request.app.state.shops
    return shops.of(tenant)


ShopHere = Annotated[Shop, Depends(find_shop)]


def serve(shop: ShopHere, request: Request) -> Counter:
    """Give the counter where the signed-in customer is served."""
    shops: Shops = request.app.state.shops
    name = shops.trust.customer_header
    customer = request.headers.get(name)
    if not customer:
        raise NotSignedIn(f"The header {name} is missing; it names the customer.")
    # It comes percent-encoded: an id may be any text.
    return Counter(shop.state, unquote(customer))


CounterHere = Annotated[Counter, Depends(serve)]


def may_write(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    """Raise where the shop wants a token for writing and the request has another."""
    shops: Shops = request.app.state.shops
    token = shops.trust.write_token
    if token is None:
        return
    given = authorization.removeprefix("Bearer ").encode()
    if not hmac.compare_digest(given, token.encode()):
        raise NoWriteToken("Writing needs the shop's write token.")
