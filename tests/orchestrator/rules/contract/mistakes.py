"""A right application, and the mistakes that a test puts into its files."""

import pytest

CONTRACTS = """\
from datetime import timedelta
from decimal import Decimal

from pydantic import BaseModel, RootModel

from keyturn import Alias, Budget, Contract, Fallback, Money, Rule


class In(BaseModel):
    customer: str


class Out(BaseModel):
    words: str
    sure: float


SHOP = Contract(
    name="shop",
    owner="me",
    on_call="me@example.com",
    input=In,
    output=Out,
    customer="customer",
    tools=("look", "pay"),
    rules=(Rule("pay", approvers=1),),
    budget=Budget(cost_usd=Decimal(1), tokens=9, turns=9, owner="me"),
    confidence="sure",
)
"""
WORKFLOW = '''\
from {app}.contracts import SHOP, In, Out
from keyturn import AgentWorkflow


class Shop(AgentWorkflow[In, Out], contract=SHOP):
    """The loop."""
'''
TOOLS = '''\
from datetime import timedelta

from pydantic import BaseModel

from keyturn import Money, ToolContext, tool
from keyturn.orchestrator.rules.contract.tool import Compensate
from {app}.contracts import In, Out


class Call(BaseModel):
    id: str


class Other(BaseModel):
    id: str


class Receipt(BaseModel):
    id: str


async def facts(call: Call, context: ToolContext) -> Receipt:
    return Receipt(id=call.id)


async def worth(call: Call, context: ToolContext) -> Money:
    return Money(5, "USD")


def plain(call: Call, context: ToolContext) -> Money:
    return Money(5, "USD")


def plain_facts(call: Call, context: ToolContext) -> Receipt:
    return Receipt(id=call.id)


async def of_other(call: Other, context: ToolContext) -> Receipt:
    return Receipt(id=call.id)


async def no_money(call: Call, context: ToolContext) -> Receipt:
    return Receipt(id=call.id)


async def no_facts(call: Call, context: ToolContext) -> str:
    return call.id


async def undone(call: Call, receipt: object) -> Call:
    return call


def undone_otherwise(call: Other, receipt: object) -> Call:
    return Call(id=call.id)


@tool(authority="read_only", owner="me")
async def look(call: Call, context: ToolContext) -> Receipt:
    """Look."""
    return Receipt(id=call.id)


@tool(authority="write", owner="me")  # here
async def pay(call: Call, context: ToolContext) -> Receipt:
    """Pay."""
    return Receipt(id=call.id)
'''
OWNER = 'authority="write", owner="me"'
BUDGET = 'budget=Budget(cost_usd=Decimal(1), tokens=9, turns=9, owner="me")'
# Per mistake: what is written instead of what, the words, and the line that is named.
IN_CONTRACTS = {
    "seconds": ("approvers=1", "approvers=1, within=4", "timedelta", "Rule("),
    "no-approver": ("approvers=1", "approvers=True", "True", "Rule("),
    "nobody": ('owner="me",\n', 'owner=" ",\n', "must not be empty", "Contract("),
    "text-for-tuple": ('("look", "pay")', '"pay"', "write ('pay',)", "Contract("),
    "text-for-set": (
        "confidence=",
        'never_sees="pci", confidence=',
        "write {'pci'}",
        "Contract(",
    ),
    "no-money": (BUDGET, BUDGET.replace("(1)", "(0)"), "greater than 0", "budget="),
    "no-owner-of-budget": (
        BUDGET,
        BUDGET.replace('"me"', '"\\u200b"'),
        "must not be empty",
        "budget=",
    ),
    "misspelt": ("on_call=", "on_cal=", "on_cal", "Contract("),
    "no-number": ('"sure"', '"words"', "make it a float", "Contract("),
    "root-model": (
        "class Out(BaseModel):\n    words: str\n    sure: float",
        "class Out(RootModel[list[str]]):\n    @property\n    def x(self): return 1",
        "sure",
        "Contract(",
    ),
    "recursive": ("sure: float", "sure: float\n    more: 'Out'", "itself", "Contract("),
    "no-model": ("confidence=", 'model="best", confidence=', "'best'", "Contract("),
    "idle-safer": (
        "confidence=",
        'safer_model="standard", fallback=Fallback(timeout="safer_model"), confidence=',
        "the fallback would change nothing",
        "Contract(",
    ),
    "useless-safer": (
        "confidence=",
        'fallback=Fallback(tool_failure="safer_model"), confidence=',
        "'hand_off' or 'fail'",
        "fallback=",
    ),
    "low-what": (
        'confidence="sure"',
        'fallback=Fallback(low_confidence="fail")',
        "the contract names no confidence",
        "Contract(",
    ),
    "two-aliases": (
        "SHOP =",
        'A = Alias(name="a", targets=("x/y",))\n'
        'B = Alias(name="a", targets=("x/z",))\nSHOP =',
        "two aliases named 'a'",
        "B = Alias(",
    ),
    "no-target": (
        "SHOP =",
        'A = Alias(name="a", targets=("gpt",))\nSHOP =',
        "not of the form provider/model",
        "A = ",
    ),
    "no-syntax": ("tools=(", "tools=((", "cannot be read", ""),
    "not-defined": ("Rule(", "Rulle(", "name 'Rulle' is not defined", "Rulle("),
    "not-there": (
        "from decimal import",
        "import nowhere_at_all\nfrom decimal import",
        "No module named 'nowhere_at_all'",
        "import nowhere",
    ),
    "impure": (
        "from decimal import",
        "import httpx\nfrom decimal import",
        "which does I/O",
        "import httpx",
    ),
}
IN_TOOLS = {
    "negative-undo": (OWNER, f"{OWNER}, undo=-5", "undo=-5", "# here"),
    "undo-of-the-past": (
        OWNER,
        f"{OWNER}, undo=timedelta(-1)",
        "must be zero or more",
        "# here",
    ),
    "window-of-seconds": (
        OWNER,
        f"{OWNER}, idempotency_window=60",
        "not a duration",
        "# here",
    ),
    "window-of-none": (
        OWNER,
        f"{OWNER}, idempotency_window=timedelta(0)",
        "must be more than zero",
        "# here",
    ),
    "sync-preview": (OWNER, f"{OWNER}, preview=plain_facts", "async def", "# here"),
    "preview-of-other": (OWNER, f"{OWNER}, preview=of_other", "Other", "# here"),
    "preview-of-text": (OWNER, f"{OWNER}, preview=no_facts", "returns str", "# here"),
    "sync-money": (OWNER, f"{OWNER}, money=plain", "async def", "# here"),
    "money-of-receipt": (OWNER, f"{OWNER}, money=no_money", "Receipt", "# here"),
    "money-of-nothing": (OWNER, f'{OWNER}, money="price"', "has only: id", "# here"),
    "money-of-text": (OWNER, f'{OWNER}, money="id"', "of type Money", "# here"),
    "sync-reconcile": (OWNER, f"{OWNER}, reconcile=plain_facts", "async def", "# here"),
    "reconcile-of-other": (OWNER, f"{OWNER}, reconcile=of_other", "Other", "# here"),
    "async-compensation": (
        OWNER,
        f'{OWNER}, compensate=Compensate("pay", undone)',
        "plain function",
        "# here",
    ),
    "compensation-of-other": (
        OWNER,
        f'{OWNER}, compensate=Compensate("pay", undone_otherwise)',
        "Other",
        "# here",
    ),
    "compensation-of-text": (OWNER, f'{OWNER}, compensate="pay"', "write", "# here"),
    "no-owner": (OWNER, 'authority="write", owner=" "', "no owner", "# here"),
    "unseen-owner": (OWNER, 'authority="write", owner="\\u200b"', "owner", "# here"),
    "no-description": ('"""Pay."""', "pass", "no description", "# here"),
    "audience": (OWNER, f'{OWNER}, audience="public"', "'public'", "# here"),
    "authority": (OWNER, 'authority="any", owner="me"', "'any'", "# here"),
    "service": (OWNER, f"{OWNER}, service=5", "service 5", "# here"),
    "subject": (OWNER, f"{OWNER}, subject=5", "subject 5", "# here"),
    "corpora": (OWNER, f'{OWNER}, corpora="help"', "corpora='help'", "# here"),
    "option": (OWNER, f"{OWNER}, undu=5", "'undu'", "# here"),
    "sync-tool": ("async def pay", "def pay", "async def pay", "# here"),
    "two-of-a-name": ("async def look", "async def pay", "two tools named", "def pay"),
    "own-mistake": (
        "class Other",
        "1 / 0\n\n\nclass Other",
        "ZeroDivisionError",
        "1 / 0",
    ),
}
IN_WORKFLOW = {
    "swapped": ("[In, Out]", "[Out, In]", "write AgentWorkflow[In, Out]", "class Shop"),
    "no-contract": (", contract=SHOP", "", "has no contract", "class Shop"),
    "impure-workflow": (
        "from keyturn import AgentWorkflow",
        "from openai import AsyncOpenAI\nfrom keyturn import AgentWorkflow",
        "which does I/O",
        "from openai import",
    ),
    "impure-within": (
        '"""The loop."""',
        '"""The loop."""\n\n    def model(self):\n        import anthropic',
        "imports anthropic",
        "import anthropic",
    ),
}
MISTAKES = [
    pytest.param(f"{file}.py", one, id=name)
    for file, ones in (
        ("contracts", IN_CONTRACTS),
        ("tools", IN_TOOLS),
        ("workflow", IN_WORKFLOW),
    )
    for name, one in ones.items()
]
