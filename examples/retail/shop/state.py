"""The state of a shop: one base that all tenants share, and what each has changed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import JsonValue

from examples.retail.shop.errors import NotFound
from examples.retail.shop.orders import Order
from examples.retail.shop.products import Product, Variant
from examples.retail.shop.records import Record, spell
from examples.retail.shop.users import User


class Database(Record):
    """The file that a shop begins with: records by kind and id."""

    products: dict[str, Product]
    users: dict[str, User]
    orders: dict[str, Order]


class Base:
    """A database that nobody changes, with the spelling of every record kept."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.variants = MappingProxyType(
            {
                item_id: variant
                for product in database.products.values()
                for item_id, variant in product.variants.items()
            }
        )
        self.orders = spellings(database.orders)
        self.products = spellings(database.products)
        self.users = spellings(database.users)


class State:
    """One tenant's shop: the base under the few records that have changed."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._orders: dict[str, Order] = {}
        self._users: dict[str, User] = {}

    def order(self, order_id: str) -> Order:
        """Give the order as it is now, or raise NotFound."""
        orders = self._base.database.orders
        if order_id not in orders:
            raise NotFound("Order not found")
        return self._orders.get(order_id, orders[order_id])

    def user(self, user_id: str) -> User:
        """Give the customer as it is now, or raise NotFound."""
        users = self._base.database.users
        if user_id not in users:
            raise NotFound("User not found")
        return self._users.get(user_id, users[user_id])

    def product(self, product_id: str) -> Product:
        """Give the product, or raise NotFound."""
        products = self._base.database.products
        if product_id not in products:
            raise NotFound("Product not found")
        return products[product_id]

    def variant(self, item_id: str) -> Variant:
        """Give the variant of whatever product, or raise NotFound."""
        if item_id not in self._base.variants:
            raise NotFound("Item not found")
        return self._base.variants[item_id]

    def product_ids(self) -> dict[str, str]:
        """Give the product ids by name, names in order."""
        products = self._base.database.products.values()
        return dict(sorted((each.name, each.product_id) for each in products))

    def put_order(self, order: Order) -> None:
        """Keep the order as it has become."""
        self._orders[order.order_id] = order

    def put_user(self, user: User) -> None:
        """Keep the customer as it has become."""
        self._users[user.user_id] = user

    def changes(self) -> dict[str, dict[str, JsonValue]]:
        """Give the records that differ from the base, whole, by kind and id."""
        orders = differing(self._orders, self._base.orders)
        users = differing(self._users, self._base.users)
        kinds = {"orders": orders, "users": users}
        return {kind: records for kind, records in kinds.items() if records}

    def digest(self) -> str:
        """Give the SHA-256, in hex, of the whole state in its one spelling."""
        kinds = {
            "orders": {**self._base.orders, **spellings(self._orders)},
            "products": self._base.products,
            "users": {**self._base.users, **spellings(self._users)},
        }
        text = spell_object({kind: spell_object(all_) for kind, all_ in kinds.items()})
        return hashlib.sha256(text.encode("ascii")).hexdigest()


def load(path: Path) -> Base:
    """Read the database that all tenants of this process begin with."""
    return Base(Database.model_validate_json(path.read_bytes()))


def spellings(records: Mapping[str, Record]) -> dict[str, str]:
    """Give the one spelling of each record."""
    return {key: record.canonical() for key, record in records.items()}


def spell_object(spelled: Mapping[str, str]) -> str:
    """Give the object whose values are spelled already, keys sorted."""
    pairs = (f"{spell(key)}:{text}" for key, text in sorted(spelled.items()))
    return "{" + ",".join(pairs) + "}"


def differing(
    records: Mapping[str, Record], base: Mapping[str, str]
) -> dict[str, JsonValue]:
    """Give the records that are spelled otherwise than in the base."""
    return {
        key: record.plain()
        for key, record in records.items()
        if record.canonical() != base[key]
    }
