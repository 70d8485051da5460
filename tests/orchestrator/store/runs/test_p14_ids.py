"""P14: who a run is for is an id that somebody can mean, whatever its script."""

import pytest

from keyturn.orchestrator.rules.errors import InvalidValue
from keyturn.orchestrator.store.tables import RunRow
from tests.orchestrator.store.desk import Desk


@pytest.mark.parametrize(
    "customer",
    [
        "C-1\n",
        "\nC-1",
        " C-1",
        "C-1 ",
        "C\t1",
        "C-1\u2028",
        "C-\x00",
        "C\x85 1",
        "\u00a0C",
    ],
)
async def test_p14_id_that_nobody_can_mean_starts_no_run(
    desk: Desk, customer: str
) -> None:
    with pytest.raises(InvalidValue, match="customer_id: "):
        await desk.start(customer=customer)

    assert await desk.rows(RunRow) == []


@pytest.mark.parametrize(
    "customer", ["C-1001", "Müller-1", "顧客7", "Ann of Ulm", "a@b.example", "100%"]
)
async def test_p14_id_of_any_script_starts_a_run(desk: Desk, customer: str) -> None:
    assert (await desk.run(await desk.start(customer=customer))).customer == customer
