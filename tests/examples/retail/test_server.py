"""The shop over HTTP: who may ask, what a key promises, and what is written down."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx2
import pytest

from tests.examples.retail.conftest import MARKET
from tests.examples.retail.shop_process import shop_process

ANA = {"Keyturn-Customer": "ana"}
CANCEL = "orders/%23A2/cancellation"
TURN = "turn"
WHY = {"reason": "no longer needed"}

numbers = count()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with shop_process(MARKET) as address:
        yield address


@pytest.fixture
def shop(url: str) -> Iterator[httpx2.Client]:
    """A tenant of this test's own."""
    with httpx2.Client(base_url=f"{url}/tenant-{next(numbers)}") as client:
        yield client


def cancel(shop: httpx2.Client, key: str, reason: str = "no longer needed"):
    headers = {**ANA, "Idempotency-Key": key}
    return shop.post(CANCEL, json={"reason": reason}, headers=headers)


def writes(shop: httpx2.Client) -> list[dict[str, object]]:
    return shop.get("writes").json()["items"]


def test_same_key_gives_the_same_answer_and_one_change(shop: httpx2.Client):
    first = cancel(shop, "run-1:1.0.0")
    after_first = shop.get("state-hash").json()

    second = cancel(shop, "run-1:1.0.0")

    assert (second.status_code, second.json()) == (200, first.json())
    assert shop.get("state-hash").json() == after_first
    assert [(w["key"], w["repeats"]) for w in writes(shop)] == [("run-1:1.0.0", 1)]


def test_a_refusal_is_kept_under_its_key_too(shop: httpx2.Client):
    refusal = cancel(shop, "k", reason="a whim")

    assert refusal.status_code == 422
    assert refusal.json() == {"error": "Invalid reason"}
    assert cancel(shop, "k", reason="a whim").json() == refusal.json()
    assert writes(shop)[0]["repeats"] == 1


def test_same_key_with_another_request_is_a_conflict(shop: httpx2.Client):
    cancel(shop, "k")

    other_body = cancel(shop, "k", reason="ordered by mistake")
    other_place = shop.post(
        "orders/%23A1/cancellation", json=WHY, headers={**ANA, "Idempotency-Key": "k"}
    )

    assert (other_body.status_code, other_place.status_code) == (409, 409)
    assert shop.get("changes").json()["orders"].keys() == {"#A2"}


def test_twenty_at_once_under_one_key_change_once(shop: httpx2.Client):
    def answer(_: int) -> str:
        return cancel(shop, "k").text

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(answer, range(20)))

    assert len(set(answers)) == 1
    assert [w["repeats"] for w in writes(shop)] == [19]


def test_keys_of_one_tenant_mean_nothing_to_another(url: str):
    with httpx2.Client(base_url=f"{url}/one") as one:
        cancel(one, "k")

    with httpx2.Client(base_url=f"{url}/two") as two:
        assert cancel(two, "k").json()["status"] == "cancelled"
        assert [w["repeats"] for w in writes(two)] == [0]


def test_without_a_key_every_request_counts(shop: httpx2.Client):
    again = [shop.post(CANCEL, json=WHY, headers=ANA).status_code for _ in range(2)]

    assert again == [200, 422]


@pytest.mark.parametrize("path", ["orders/%23B1", "users/bo"])
def test_p14_reading_what_is_anothers_is_refused(shop: httpx2.Client, path: str):
    answer = shop.get(path, headers=ANA)

    assert answer.status_code == 403
    assert "another customer" in answer.json()["error"]


def test_p14_changing_what_is_anothers_is_refused(shop: httpx2.Client):
    answer = shop.post("orders/%23B1/cancellation", json=WHY, headers=ANA)

    assert answer.status_code == 403
    assert shop.get("changes").json() == {}


def test_p14_the_answer_to_a_key_is_its_customers_alone(shop: httpx2.Client):
    cancel(shop, "k")

    headers = {"Keyturn-Customer": "bo", "Idempotency-Key": "k"}
    answer = shop.post(CANCEL, json=WHY, headers=headers)

    assert answer.status_code == 409
    assert "#A2" not in answer.text


@pytest.mark.parametrize(
    "customer", [{}, {"Keyturn-Customer": "eve"}], ids=["none", "eve"]
)
def test_nobody_signed_in_reads_nothing(shop: httpx2.Client, customer: dict[str, str]):
    assert shop.get("orders/%23A1", headers=customer).status_code == 401


def test_products_are_public(shop: httpx2.Client):
    assert shop.get("products").json() == {"Lamp": "p-lamp", "Mug": "p-mug"}
    assert shop.get("products/p-mug").json()["name"] == "Mug"
    assert shop.get("items/mug-red").json()["price"] == 12.3


def test_customer_is_found_by_what_people_say(shop: httpx2.Client):
    by_email = shop.get("users", params={"email": "ANA.Berg@example.com"}, headers=ANA)
    named = {"first_name": "ana", "last_name": "BERG", "zip": "0150"}
    by_name = shop.get("users", params=named, headers=ANA)

    assert by_email.json() == by_name.json() == {"user_id": "ana"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("orders/%23X", "Order not found"),
        ("users/eve", "User not found"),
        ("products/mug-red", "Product not found"),
        ("items/p-mug", "Item not found"),
        ("users?email=bo@example.com", "User not found"),
    ],
)
def test_what_is_not_there_is_not_found(shop: httpx2.Client, path: str, text: str):
    answer = shop.get(path, headers=ANA)

    assert (answer.status_code, answer.json()) == (404, {"error": text})


@pytest.mark.parametrize(
    "body", ["{", "[]", '{"reason": 1}', '{"reason": "a", "b": 1}']
)
def test_a_body_that_is_not_understood_changes_nothing(shop: httpx2.Client, body: str):
    headers = {**ANA, "Content-Type": "application/json", "Idempotency-Key": "k"}

    answer = shop.post(CANCEL, content=body, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Not understood: body")
    assert writes(shop) == []


def test_handing_over_is_written_down_and_changes_no_record(shop: httpx2.Client):
    answer = shop.post("transfers", json={"summary": "Wants a person."}, headers=ANA)

    assert answer.json() == {"message": "Transfer successful"}
    assert shop.get("changes").json() == {}
    assert len(writes(shop)) == 1


def test_p01_writing_needs_the_write_token_where_there_is_one():
    wrong_token, right_token = ({"Authorization": f"Bearer {t}"} for t in ("no", TURN))
    with (
        shop_process(MARKET, write_token=TURN) as url,
        httpx2.Client(base_url=f"{url}/t", headers=ANA) as shop,
    ):
        without = shop.post(CANCEL, json=WHY)
        wrong = shop.post(CANCEL, json=WHY, headers=wrong_token)
        read = shop.get("orders/%23A2")
        right = shop.post(CANCEL, json=WHY, headers=right_token)

    assert [without.status_code, wrong.status_code] == [403, 403]
    assert read.json()["status"] == "pending"
    assert right.json()["status"] == "cancelled"
