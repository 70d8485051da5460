"""Applications: where contracts, workflows and tools are found."""

import ast
import importlib.util
import inspect
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeGuard, TypeVar, get_args

from keyturn.orchestrator.rules.contract import app_import
from keyturn.orchestrator.rules.contract import check as contract_check
from keyturn.orchestrator.rules.contract.contract import Contract
from keyturn.orchestrator.rules.contract.model import Alias
from keyturn.orchestrator.rules.contract.tool import Tool
from keyturn.orchestrator.rules.errors import ContractError

ENTRY_POINTS = "keyturn.apps"
# An application's pure modules may not import these: they run inside workflows.
IMPURE = frozenset(
    {
        "keyturn.activities.llm",
        "keyturn.activities.connectors",
        "keyturn.activities.tools",
        "keyturn.orchestrator.store",
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
    """Everything that the applications provide, by name."""

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
    """Return everything that `apps` and the entry points provide, checked.

    `models` overrides the targets of aliases. Raises `ContractError`, naming what to
    repair, for a wrong contract, a duplicate name, or an impure workflow module.
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
        with _at(contract.place):
            _check(contract, tools, aliases)
    contract_check.check_agreement(contracts.values(), tools)
    return Registry(contracts, workflows, tools, tuple(aliases.values()))


@contextmanager
def _at(place: str) -> Generator[None]:
    try:
        yield
    except ContractError as error:
        # Each kind of error keeps its class; only the place is added.
        error.args = (f"{place}: {error}",)
        raise


def _installed(named: Iterable[str]) -> list[str]:
    return [
        point.value
        for point in entry_points(group=ENTRY_POINTS)
        if point.value not in set(named)
    ]


def _load_app(app: str) -> Registry:
    package = app_import.load(app, app)
    contracts = _pure(app, f"{app}.contracts")
    workflow = _pure(app, f"{app}.workflow")
    tools = app_import.load(app, getattr(package, "TOOLS", f"{app}.tools"))
    found = [v for v in vars(contracts).values() if isinstance(v, Contract)]
    classes = [v for v in vars(workflow).values() if _is_workflow(v, workflow)]
    _check_pairs(app, found, classes)
    return Registry(
        contracts=_by_name(found, app),
        workflows={cls.contract.name: cls for cls in classes},
        tools=_tools(app, tools),
        aliases=_aliases(app, contracts),
    )


class _Workflow(Protocol):
    """The part of a workflow class that the loader uses: its contract."""

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
                f"{contract.place}: application {app!r} has two contracts named {contract.name!r}; "
                "a workflow's name is used once."
            )
        found[contract.name] = contract
    return found


def _tools(app: str, module: ModuleType) -> dict[str, Tool]:
    found: dict[str, Tool] = {}
    for value in vars(module).values():
        if not isinstance(value, Tool):
            continue
        _refuse_second(app, value)
        if found.setdefault(value.name, value) is not value:
            raise _two_tools(app, value, value.function.__code__.co_firstlineno)
    return found


def _refuse_second(app: str, found: Tool) -> None:
    """Refuse a tool that replaced another of the same name in one module."""
    path = found.function.__code__.co_filename
    if not Path(path).is_file():
        return
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    lines = [
        node.lineno
        for node in tree.body
        if isinstance(node, ast.AsyncFunctionDef) and node.name == found.name
    ]
    if len(lines) > 1:
        raise _two_tools(app, found, lines[-1])


def _two_tools(app: str, found: Tool, line: int) -> ContractError:
    return ContractError(
        f"{found.function.__code__.co_filename}:{line}: application {app!r} has two "
        f"tools named {found.name!r}; a tool's name is its function's, and is used once."
    )


def _aliases(app: str, module: ModuleType) -> tuple[Alias, ...]:
    found: dict[str, Alias] = {}
    for alias in vars(module).values():
        if isinstance(alias, Alias) and (
            found.setdefault(alias.name, alias) is not alias
        ):
            raise ContractError(
                f"{alias.place}: application {app!r} has two aliases named "
                f"{alias.name!r}; an alias is declared once, with all its targets."
            )
    return tuple(found.values())


def _check_types(cls: type[_Workflow]) -> None:
    """Refuse a workflow whose type arguments are not its contract's models."""
    contract = cls.contract
    wanted = (contract.input, contract.output)
    for base in getattr(cls, "__orig_bases__", ()):
        given = get_args(base)
        if len(given) == 2 and given != wanted:
            raise ContractError(
                f"{_line_of(cls)}: {cls.__name__} is an AgentWorkflow["
                f"{_names(given)}], but its contract {contract.name!r} takes "
                f"{_names(wanted[:1])} and returns {_names(wanted[1:])}; write "
                f"AgentWorkflow[{_names(wanted)}]."
            )


def _line_of(cls: type) -> str:
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return cls.__module__


def _names(kinds: Iterable[object]) -> str:
    return ", ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)


def _check_pairs(
    app: str, contracts: list[Contract], classes: list[type[_Workflow]]
) -> None:
    for cls in classes:
        _check_types(cls)
    have = {cls.contract.name for cls in classes}
    for contract in contracts:
        if contract.name not in have:
            raise ContractError(
                f"{contract.place}: contract {contract.name!r} has no workflow: write `class X("
                f"AgentWorkflow[In, Out], contract=…)` in {app}.workflow."
            )


Part = TypeVar("Part", Contract, Tool)


def _merge(into: dict[str, Part], found: Mapping[str, Part], kind: str) -> None:
    for name, value in found.items():
        if name in into and into[name] is not value:
            raise ContractError(
                f"Two applications define a {kind} named {name!r}; rename one."
            )
        into[name] = value


def _check(
    contract: Contract, tools: Mapping[str, Tool], aliases: Mapping[str, Alias]
) -> None:
    contract_check.check(contract, tools)
    for alias in (contract.model, contract.safer_model):
        if alias not in aliases and "/" not in alias:
            raise ContractError(
                f"Contract {contract.name!r} names the model {alias!r}, which is not an "
                f"alias; known: {', '.join(sorted(aliases))}."
            )
    if _is_idle(contract, aliases):
        raise ContractError(
            f"Contract {contract.name!r}: its fallback names safer_model, but "
            f"{contract.safer_model!r} has the same targets as {contract.model!r}, so "
            "the fallback would change nothing; name another safer_model, or write "
            "hand_off."
        )


def _is_idle(contract: Contract, aliases: Mapping[str, Alias]) -> bool:
    """Return whether a fallback to the safer model would ask the same models again."""
    wants = "safer_model" in contract.fallback.model_dump().values()
    normal, safer = (
        aliases[name].targets if name in aliases else (name,)
        for name in (contract.model, contract.safer_model)
    )
    return wants and normal == safer


def _pure(app: str, module: str) -> ModuleType:
    with app_import.mistakes_as_contract_errors(module):
        imports = _imports(module)
    for place, name in imports:
        if any(name == bad or name.startswith(f"{bad}.") for bad in IMPURE):
            raise ContractError(
                f"{place}: {module} imports {name}, which does I/O; workflows and "
                "contracts must be pure: move it to the application's tools."
            )
    return app_import.load(app, module)


def _imports(module: str) -> list[tuple[str, str]]:
    """Return each import in a module's source, with its file and line."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return []
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"), spec.origin)
    return [(f"{spec.origin}:{line}", name) for line, name in _imported(tree)]


def _imported(tree: ast.AST) -> Iterable[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from ((node.lineno, name) for name in names)
