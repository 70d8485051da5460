"""The text of a budget's scope: stored, typed and shown in one form."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.orchestrator.rules.errors import InvalidValue
from keyturn.orchestrator.rules.money.scope import (
    KINDS,
    RUN,
    BudgetScope,
    Kind,
    days_of,
    of_limit,
)

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
# A name may hold what the text is divided by.
NAMES = st.text(min_size=1, max_size=20) | st.sampled_from(
    ["on", "a on b", "run x", " "]
)


@given(kind=st.sampled_from(KINDS), name=NAMES)
def test_a_scope_is_read_as_it_was_written(kind: Kind, name: str) -> None:
    of_run = BudgetScope.of_run(name)
    scope = of_run if kind == "run" else BudgetScope.of_day(kind, name, NOON)

    assert BudgetScope.parse(str(scope)) == scope
    assert str(scope).startswith(RUN) == (kind == "run")
    if kind != "run":
        assert str(scope) == f"{days_of(kind, name)}2026-11-29"


@pytest.mark.parametrize(
    "text", ["", "run", "run ", "day", "tenant shop", "tenant  on 2026-11-29", "Run x"]
)
def test_another_text_is_no_scope(text: str) -> None:
    with pytest.raises(InvalidValue, match="write `run ID`"):
        BudgetScope.parse(text)


def test_a_day_is_over_at_midnight_in_utc() -> None:
    scope = BudgetScope.of_day("tenant", "shop", NOON)
    late = datetime(2026, 11, 29, 23, 59, 59, tzinfo=UTC)
    next_day = datetime(2026, 11, 30, tzinfo=UTC)

    assert not scope.is_over(late)
    assert scope.is_over(next_day)
    assert not BudgetScope.of_run("r").is_over(next_day)


def test_no_limit_is_taken_for_a_budget() -> None:
    """They share a table."""
    for per in ("run", "subject", "no subject", "customer", "workflow", "tenant"):
        with pytest.raises(InvalidValue):
            BudgetScope.parse(of_limit(per, "x"))
