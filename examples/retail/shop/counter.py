"""The counter: one signed-in customer is served, and only with what is theirs."""

from examples.retail.shop import orders, swaps
from examples.retail.shop.errors import NotFound, NotSignedIn, NotYours
from examples.retail.shop.orders import Change, Order
from examples.retail.shop.state import State
from examples.retail.shop.swaps import Swap
from examples.retail.shop.users import Address, Name, User, lives_at, writes_from


class Counter:
    """Everything that one customer may read and change; each change is whole or none."""

    def __init__(self, state: State, customer: str) -> None:
        self._state = state
        self.customer = customer
        try:
            state.user(customer)
        except NotFound:
            raise NotSignedIn(f"No customer '{customer}' is signed in.") from None

    def find_by_email(self, email: str) -> str:
        """Give the customer's id; another customer's address is as good as unknown."""
        if not writes_from(self._me(), email):
            raise NotFound("User not found")
        return self.customer

    def find_by_name(self, name: Name, zip_code: str) -> str:
        """Give the customer's id; another customer's name is as good as unknown."""
        if not lives_at(self._me(), name, zip_code):
            raise NotFound("User not found")
        return self.customer

    def user(self, user_id: str) -> User:
        """Give the customer's own record."""
        user = self._state.user(user_id)
        if user_id != self.customer:
            raise NotYours(f"User {user_id} is another customer.")
        return user

    def order(self, order_id: str) -> Order:
        """Give one of the customer's own orders."""
        order = self._state.order(order_id)
        if order.user_id != self.customer:
            raise NotYours(f"Order {order_id} belongs to another customer.")
        return order

    def cancel(self, order_id: str, reason: str) -> Order:
        """Cancel a pending order."""
        return self._save(orders.cancel(self.order(order_id), self._me(), reason))

    def move_order(self, order_id: str, address: Address) -> Order:
        """Send a pending order to another address."""
        moved = orders.move(self.order(order_id), address)
        return self._save(Change(order=moved, owner=self._me()))

    def repay(self, order_id: str, method_id: str) -> Order:
        """Pay a pending order in another way."""
        return self._save(orders.repay(self.order(order_id), self._me(), method_id))

    def change_items(self, order_id: str, swap: Swap) -> Order:
        """Change items of a pending order."""
        order, product = self.order(order_id), self._state.product
        return self._save(swaps.change_items(order, self._me(), swap, product))

    def exchange(self, order_id: str, swap: Swap) -> Order:
        """Ask for an exchange of delivered items."""
        order, product = self.order(order_id), self._state.product
        asked = swaps.exchange(order, self._me(), swap, product)
        return self._save(Change(order=asked, owner=self._me()))

    def send_back(
        self, order_id: str, item_ids: tuple[str, ...], method_id: str
    ) -> Order:
        """Ask for a return of delivered items."""
        order = self.order(order_id)
        asked = orders.send_back(order, self._me(), item_ids, method_id)
        return self._save(Change(order=asked, owner=self._me()))

    def move_user(self, user_id: str, address: Address) -> User:
        """Change the customer's default address."""
        moved = self.user(user_id).model_copy(update={"address": address})
        self._state.put_user(moved)
        return moved

    def _me(self) -> User:
        return self._state.user(self.customer)

    def _save(self, change: Change) -> Order:
        self._state.put_order(change.order)
        self._state.put_user(change.owner)
        return change.order
