"""The shops of one process: one a tenant, each opened when it is first asked for."""

from dataclasses import dataclass

from examples.retail.shop.journal import Journal
from examples.retail.shop.state import Base, State


@dataclass(frozen=True)
class Trust:
    """Whom a process believes: who names the customer, and who may write.

    The header is set by whatever signs customers in; without a token, all may write.
    """

    customer_header: str = "X-Customer"
    write_token: str | None = None


class Shop:
    """One tenant's shop."""

    def __init__(self, base: Base) -> None:
        self.state = State(base)
        self.journal = Journal()


class Shops:
    """All tenants' shops over one base; no tenant sees another's changes."""

    def __init__(self, base: Base, trust: Trust | None = None) -> None:
        self._base = base
        self._shops: dict[str, Shop] = {}
        self.trust = trust or Trust()

    def of(self, tenant: str) -> Shop:
        """Give the tenant's shop; a new tenant's is the base as it is."""
        if tenant not in self._shops:
            self._shops[tenant] = Shop(self._base)
        return self._shops[tenant]
