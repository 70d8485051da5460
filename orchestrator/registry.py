"""Applications: where contracts, workflows and tools are found."""

import ast
import importlib
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeGuard, TypeVar

from orchestrator import contract_check
from orchestrator.contract import Contract
from orchestrator.errors import ContractError
from orchestrator.model import Alias
from orchestrator.tool import Tool

ENTRY_POINTS = "keyturn.apps"
# An application's pure modules may not import these: they run inside workflows.
IMPURE = frozenset(
    {
        "activities.llm",
        "activities.connectors",
        "activities.tools",
        "orchestrator.store",
        "openai",
        "anthropic",
        "httpx",
        "httpx2",
        "requests",
        "sqlalchemy",
        "sqlmodel",
        "fastapi",
    }
)


@dataclass(frozen=True)
class Registry:
    """What the applications bring, by name."""

    contracts: Mapping[str, Contract]
    workflows: Mapping[str, type]
    tools: Mapping[str, Tool]
    aliases: tuple[Alias, ...]


DEFAULT_ALIASES = (
    Alias(
        name="standard",
        targets=("openai/gpt-5.2", "anthropic/claude-sonnet-4-5"),
    ),
    Alias(
        name="safer",
        targets=("anthropic/claude-opus-4-5", "openai/gpt-5.2"),
    ),
)


def load(
    apps: Iterable[str], *, models: Mapping[str, tuple[str, ...]] | None = None
) -> Registry:
    """Return all that `apps` and the entry points bring, checked.

    `models` overrides the targets of aliases. Raises `ContractError`, naming what to
    mend, for a wrong contract, two of one name, or an impure workflow module.
    """
    contracts: dict[str, Contract] = {}
    workflows: dict[str, type] = {}
    tools: dict[str, Tool] = {}
    aliases = {alias.name: alias for alias in DEFAULT_ALIASES}
    for app in (*apps, *_installed(apps)):
        found = _load_app(app)
        _merge(contracts, found.contracts, "workflow")
        _merge(tools, found.tools, "tool")
        workflows.update(found.workflows)
        aliases.update({alias.name: alias for alias in found.aliases})
    for name, targets in (models or {}).items():
        aliases[name] = Alias(name=name, targets=targets)
    for contract in contracts.values():
        _check(contract, tools, aliases)
    contract_check.check_agreement(contracts.values(), tools)
    return Registry(contracts, workflows, tools, tuple(aliases.values()))


def _installed(named: Iterable[str]) -> list[str]:
    return [
        point.value
        for point in entry_points(group=ENTRY_POINTS)
        if point.value not in set(named)
    ]


def _load_app(app: str) -> Registry:
    package = _import(app, app)
    contracts = _pure(app, f"{app}.contracts")
    workflow = _pure(app, f"{app}.workflow")
    tools = _import(app, getattr(package, "TOOLS", f"{app}.tools"))
    found = [v for v in vars(contracts).values() if isinstance(v, Contract)]
    classes = [v for v in vars(workflow).values() if _is_workflow(v, workflow)]
    _check_pairs(app, found, classes)
    return Registry(
        contracts=_by_name(found, app),
        workflows={cls.contract.name: cls for cls in classes},
        tools={v.name: v for v in vars(tools).values() if isinstance(v, Tool)},
        aliases=tuple(v for v in vars(contracts).values() if isinstance(v, Alias)),
    )


class _Workflow(Protocol):
    """What the loader knows of a workflow class: it stands under a contract."""

    contract: Contract


def _is_workflow(value: object, module: ModuleType) -> TypeGuard[type[_Workflow]]:
    return (
        isinstance(value, type)
        and value.__module__ == module.__name__
        and isinstance(getattr(value, "contract", None), Contract)
    )


def _by_name(contracts: Iterable[Contract], app: str) -> dict[str, Contract]:
    found: dict[str, Contract] = {}
    for contract in contracts:
        if contract.name in found:
            raise ContractError(
                f"Application {app!r} has two contracts named {contract.name!r}; "
                "a workflow's name is used once."
            )
        found[contract.name] = contract
    return found


def _check_pairs(
    app: str, contracts: list[Contract], classes: list[type[_Workflow]]
) -> None:
    have = {cls.contract.name for cls in classes}
    for contract in contracts:
        if contract.name not in have:
            raise ContractError(
                f"Contract {contract.name!r} has no workflow: write `class X("
                f"AgentWorkflow[In, Out], contract=…)` in {app}.workflow."
            )


Part = TypeVar("Part", Contract, Tool)


def _merge(into: dict[str, Part], found: Mapping[str, Part], kind: str) -> None:
    for name, value in found.items():
        if name in into and into[name] is not value:
            raise ContractError(
                f"Two applications bring a {kind} named {name!r}; rename one."
            )
        into[name] = value


def _check(
    contract: Contract, tools: Mapping[str, Tool], aliases: Mapping[str, Alias]
) -> None:
    contract_check.check(contract, tools)
    for alias in (contract.model, contract.safer_model):
        if alias not in aliases and "/" not in alias:
            raise ContractError(
                f"Contract {contract.name!r} names the model {alias!r}, which is no "
                f"alias; known: {', '.join(sorted(aliases))}."
            )


def _pure(app: str, module: str) -> ModuleType:
    spec = importlib.util.find_spec(app)
    if spec is not None and importlib.util.find_spec(module) is not None:
        _refuse_impure(module)
    return _import(app, module)


def _refuse_impure(module: str) -> None:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    for name in _imported(tree):
        if any(name == bad or name.startswith(f"{bad}.") for bad in IMPURE):
            raise ContractError(
                f"{module} imports {name}, which reaches the world; workflows and "
                "contracts are pure: move it to the application's tools."
            )


def _imported(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _import(app: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            raise ContractError(
                f"Application {app!r} of KEYTURN_APPS has no module {module!r}; an "
                "application is a package with contracts.py, workflow.py and tools.py."
            ) from None
        raise
