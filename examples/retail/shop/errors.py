"""What a shop says instead of doing as asked; nothing has changed then."""


class ShopError(Exception):
    """A definite no, in words for whoever asked."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class NotSignedIn(ShopError):
    """The request names no customer whom the sign-in knows."""


class NotYours(ShopError):
    """The record belongs to another customer."""


class NotFound(ShopError):
    """No record has that id."""


class NotAllowed(ShopError):
    """The rules of the shop are against it."""


class KeyReused(ShopError):
    """The idempotency key came before, with another request."""


class NoWriteToken(ShopError):
    """The caller may read here, not write."""
