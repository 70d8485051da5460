"""P2 under a random order of events: the ledger's state machine against a provider.

A Hypothesis machine plays workers that die and come late, people, switches and clocks
on the real store, while a provider of the test's own counts what really happened.
"""

import asyncio
import shutil
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from keyturn.orchestrator.rules.money.budget import Limit
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.policy.rules import Rule
from tests.depth import SEARCHES
from tests.orchestrator.store.desk import Desk, open_desk
from tests.orchestrator.store.effects.ledger_machine import LIMIT, Ledger, Template
from tests.servers import postgres

RULES = (
    Rule("refund", up_to=Money(5_00, "USD"), verdict="allow"),
    Rule("refund", up_to=Money(5_000_00, "USD"), approvers=1),
    Rule("top_up", verdict="allow"),
)
LIMITS = (Limit(Money(LIMIT, "USD"), per="tenant", within=timedelta(days=3650)),)


def test_p02_no_order_of_events_does_anything_twice_on_sqlite(
    sqlite_template: Path, tmp_path: Path
) -> None:
    numbers, made = count(), tmp_path / "desk.sqlite"
    shutil.copy(sqlite_template, made)

    @contextmanager
    def fresh() -> Generator[str]:
        file = tmp_path / f"{next(numbers)}.sqlite"
        shutil.copy(made, file)
        yield _sqlite(file)
        for left in tmp_path.glob(f"{file.name}*"):
            left.unlink()

    _play(
        Template(fresh, _furnish(_sqlite(made))),
        examples=300 if SEARCHES else 30,
        steps=40,
    )


def test_p02_no_order_of_events_does_anything_twice_on_postgres(
    postgres_server: str, postgres_template: str
) -> None:
    with postgres.database(postgres_server, template=postgres_template) as made:
        name = made.rpartition("/")[2]
        desk = _furnish(made)

        def fresh() -> AbstractContextManager[str]:
            return postgres.database(postgres_server, template=name)

        _play(Template(fresh, desk), examples=60 if SEARCHES else 5, steps=30)


def _play(template: Template, *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        lambda: Ledger(template),  # pyright: ignore[reportArgumentType] a factory is taken too
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            # Every step is printed; to find fewer of them would take minutes.
            phases=(Phase.generate,),
            suppress_health_check=(HealthCheck.too_slow, HealthCheck.filter_too_much),
        ),
    )


def _furnish(url: str) -> Desk:
    """Put a desk into a database with tables and return what its copies share."""

    async def furnish() -> Desk:
        async with open_desk(url, rules=RULES, limits=LIMITS) as desk:
            return desk

    return asyncio.run(furnish())


def _sqlite(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file}"
