"""Products and their variants; nothing in the shop changes them."""

from examples.retail.shop.errors import NotAllowed, NotFound
from examples.retail.shop.records import Record


class Variant(Record):
    """One item on sale: a product in particular options."""

    item_id: str
    options: dict[str, str]
    available: bool
    price: float


class Product(Record):
    """A type of product with its variants, by item id."""

    name: str
    product_id: str
    variants: dict[str, Variant]


def variant_on_sale(product: Product, item_id: str) -> Variant:
    """Give the product's variant, or raise where there is none to be had."""
    if item_id not in product.variants:
        raise NotFound("Variant not found")
    variant = product.variants[item_id]
    if not variant.available:
        raise NotAllowed(f"New item {item_id} not found or available")
    return variant
