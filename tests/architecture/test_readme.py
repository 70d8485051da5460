"""The README's code runs as it is printed, and decides as it says."""

import re
from pathlib import Path
from types import ModuleType

import pytest

from keyturn import AgentWorkflow, Contract, Money
from keyturn.orchestrator.rules.policy.rules import Action, judge

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"```python\n(?P<code>.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?P<path>[^)#:]+)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def printed() -> ModuleType:
    """The README's code, carried out as a module of its own."""
    blocks = BLOCK.findall(README.read_text())
    module = ModuleType("readme")
    exec(compile("\n".join(blocks), str(README), "exec"), vars(module))  # noqa: S102 our own page
    return module


@pytest.mark.parametrize(
    ("amount", "verdict"),
    [(20_00, "allow"), (20_01, "ask"), (500_00, "ask"), (500_01, "deny")],
)
def test_readme_contract_decides_as_its_rules_read(
    printed: ModuleType, amount: int, verdict: str
) -> None:
    contract: Contract = printed.DESK
    action = Action(tool="refund", arguments={}, money=Money(amount, "USD"))

    assert judge(contract.rules, action).kind == verdict


def test_readme_workflow_runs_under_its_contract(printed: ModuleType) -> None:
    assert AgentWorkflow in printed.Desk.__mro__
    assert printed.Desk.contract is printed.DESK


def test_readme_links_lead_to_files() -> None:
    links = LINK.findall(README.read_text())

    assert links
    assert [path for path in links if not (ROOT / path).exists()] == []
