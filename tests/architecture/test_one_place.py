"""What is done in one place only: the store's code is read, not run."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from keyturn.orchestrator import store
from keyturn.orchestrator.store.db import row_codes

STORE = Path(store.__path__[0])
LOCKS = STORE / "db" / "locks.py"
STATUS = STORE / "status"
FOUR_ROWS = {"RunRow", "CallRow", "ApprovalRow", "EffectRow"}
SQL_LOCKS = ("FOR UPDATE", "FOR NO KEY UPDATE", "FOR SHARE", "FOR KEY SHARE")
MODULES = sorted(STORE.rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef
# These lock whatever table they are given: by module and function, with what they lock.
GENERIC = {("migrate.py", "_vouch_anew"): {row.__name__ for row in row_codes.COVERED}}


def test_only_locks_takes_row_locks_on_runs_calls_approvals_and_effects() -> None:
    faults = [
        f"{path.relative_to(STORE)}:{fault}"
        for path in MODULES
        if path != LOCKS
        for fault in lock_faults(path, path.read_text())
    ]

    assert faults == []


def test_locks_takes_a_row_lock_on_each_of_the_four() -> None:
    code = ast.parse(LOCKS.read_text())

    locking = [one for one in functions(code) if any(lock_sites(one))]

    assert set[str]().union(*map(row_names, locking)) >= FOUR_ROWS


@pytest.mark.parametrize(
    "code",
    [
        "async def f(session, key):\n"
        "    return await session.get(EffectRow, key, with_for_update=True)",
        "async def f(session, key):\n"
        "    return await session.get(runs.RunRow, key, with_for_update={'read': True})",
        "async def f(session, row):\n    await session.refresh(row, with_for_update=True)",
        "async def f(session, row: CallRow):\n"
        "    await session.refresh(row, with_for_update=True)",
        "async def f(session, row: PersonRow):\n"
        "    row = await lookup.get(session, row.run)\n"
        "    await session.refresh(row, with_for_update=True)",
        "async def f(session):\n    query = select(ApprovalRow)\n"
        "    return await session.execute(query.with_for_update())",
        "async def f(session):\n    return await session.execute(_due().with_for_update())",
        "QUERY = select(RunRow).with_for_update()",
        "from keyturn.orchestrator.store.tables import RunRow as Renamed",
        "async def f(session):\n    await session.execute(text('SELECT 1 FOR UPDATE'))",
        "async def f(session, key, **how):\n"
        "    return await session.get(PersonRow, key, **{'with_for_update': True})",
    ],
)
def test_a_row_lock_elsewhere_is_found(code: str) -> None:
    assert lock_faults(STORE / "runs" / "calls.py", code) != []


@pytest.mark.parametrize(
    "code",
    [
        "async def f(session, key):\n"
        "    return await session.get(PersonRow, key, with_for_update=True)",
        "async def f(session, key):\n    row = await session.get(PersonRow, key)\n"
        "    await session.refresh(row, with_for_update=True)",
        "async def f(session, row: WebhookRow):\n"
        "    await session.refresh(row, with_for_update=True)",
        "async def f(session):\n    query = select(BulkRow)\n"
        "    return await session.execute(query.with_for_update())",
    ],
)
def test_a_row_lock_on_another_table_is_none_of_them(code: str) -> None:
    assert lock_faults(STORE / "runs" / "calls.py", code) == []


def test_only_the_status_room_writes_the_status_of_the_four() -> None:
    faults = [
        f"{path.relative_to(STORE)}:{fault}"
        for path in MODULES
        if path.parent != STATUS
        for fault in status_faults(path.read_text())
    ]

    assert faults == []


@pytest.mark.parametrize("noun", ["run", "call", "approval", "effect"])
def test_the_status_room_has_a_module_for_each_noun(noun: str) -> None:
    code = (STATUS / f"{noun}.py").read_text()

    assert any(f"{noun.title()}Row" in fault for fault in status_faults(code))


@pytest.mark.parametrize(
    "code",
    [
        "def f(row: RunRow):\n    row.status = 'waiting'",
        "def f(row):\n    row.status = 'waiting'",
        "def f(self):\n    self._run.status, self.call.gate = 'waiting', 'wait'",
        "def f(self):\n    self.case.run.status: str = 'waiting'",
        "def f(session, key):\n    row = lookup.get(key)\n    row.status = 'done'",
        "QUERY = update(ApprovalRow).values(status='void', closed_because='x')",
        "def f(done):\n    query = update(CallRow)\n    return query.values({'status': done})",
        "def f():\n    return EffectRow(key='k', status='leased')",
        "def f(row: EffectRow, to):\n    setattr(row, 'status', to)",
        "def f(row: IncidentRow, run: RunRow):\n    run.status = row.status = 'closed'",
    ],
)
def test_a_status_written_elsewhere_is_found(code: str) -> None:
    assert status_faults(code) != []


@pytest.mark.parametrize(
    "code",
    [
        "def f(row: IncidentRow):\n    row.status = 'closed'",
        "def f(session, key):\n    row = session.get(IncidentRow, key)\n"
        "    row.status = 'closed'",
        "def f(row: RunRow):\n    return row.status",
        "def f():\n    return update(AttemptRow).values(status='freed')",
        "class Error:\n    def __init__(self, status):\n        self.status = status",
    ],
)
def test_another_status_is_none_of_them(code: str) -> None:
    assert status_faults(code) == []


def status_faults(code: str) -> list[str]:
    """Return where a module writes the status of one of the four, or of no known row."""
    module = ast.parse(code)
    return [
        f"{line} writes the status of {sorted(rows) or 'no known row'}"
        for line, rows in rows_whose_status_is_written(module)
        if not rows or rows & FOUR_ROWS
    ]


def rows_whose_status_is_written(module: ast.Module) -> Iterator[tuple[int, set[str]]]:
    for scope in (*functions(module), module):
        own = list(own_nodes(scope))
        for node in own:
            for target in written_statuses(node):
                yield target.lineno, rows_of_target(module, scope, target)
            if isinstance(node, ast.Call) and gives_status(node):
                yield node.lineno, rows_given(node, own)


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield what a function consists of, without the functions in it."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if not isinstance(node, Function):
            yield from own_nodes(node)


def written_statuses(node: ast.AST) -> list[ast.Attribute]:
    if not isinstance(node, ast.Attribute) or node.attr != "status":
        return []
    is_own = isinstance(node.value, ast.Name) and node.value.id == "self"
    return [node] if isinstance(node.ctx, ast.Store) and not is_own else []


def rows_of_target(
    module: ast.Module, scope: ast.AST, target: ast.Attribute
) -> set[str]:
    if isinstance(target.value, ast.Name) and isinstance(scope, Function):
        return rows_of_variable(module, scope, target.value.id)
    return set()


def gives_status(node: ast.Call) -> bool:
    """Tell whether a call makes a row with a status, or an update of one."""
    is_values = isinstance(node.func, ast.Attribute) and node.func.attr == "values"
    is_row = isinstance(node.func, ast.Name) and node.func.id in FOUR_ROWS
    is_set = isinstance(node.func, ast.Name) and node.func.id == "setattr"
    named = [one.arg for one in node.keywords]
    texts_in = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
    return (
        (is_row and "status" in named)
        or (is_values and ("status" in named or "status" in texts_in))
        or (is_set and "status" in texts_in)
    )


def rows_given(node: ast.Call, scope: Iterable[ast.AST]) -> set[str]:
    """Return the rows that such a call is of: its own, or those updated beside it."""
    updates = [
        one
        for one in scope
        if isinstance(one, ast.Call)
        and isinstance(one.func, ast.Name)
        and one.func.id in ("update", "insert")
    ]
    return row_names(node) or set[str]().union(*map(row_names, updates))


def lock_faults(path: Path, code: str) -> list[str]:
    """Return the row locks of a module whose table is one of the four, or not clear.

    A function that locks names the row that it locks, and none of the four.
    """
    module = ast.parse(code)
    in_functions = {site for one in functions(module) for site in lock_sites(one)}
    return [
        *(f"{one.lineno} renames {one.name}" for one in renamed(module)),
        *(f"{one.lineno} locks in SQL" for one in texts(module) if is_lock(one)),
        *(f"{one} locks" for one in lock_sites(module) if one not in in_functions),
        *(
            f"{one.lineno} {one.name} locks {sorted(rows)}"
            for one in functions(module)
            for rows in rows_locked_in(path, module, one)
            if not rows or rows & FOUR_ROWS
        ),
    ]


def renamed(module: ast.Module) -> list[ast.alias]:
    aliases = [one for one in ast.walk(module) if isinstance(one, ast.alias)]
    return [one for one in aliases if one.asname and one.name in FOUR_ROWS]


def rows_locked_in(
    path: Path, module: ast.Module, function: Function
) -> Iterator[set[str]]:
    """Yield for each lock of a function the rows that it is of."""
    for site in lock_sites(function):
        found = locked_rows(module, function, site)
        yield found or GENERIC.get((path.name, function.name), set())


def functions(code: ast.AST) -> list[Function]:
    return [one for one in ast.walk(code) if isinstance(one, Function)]


def lock_sites(code: ast.AST) -> Iterator[ast.AST]:
    """Yield what takes a lock: a call with that keyword, or a method of a query."""
    for node in ast.walk(code):
        is_keyword = isinstance(node, ast.Call) and any(
            one.arg == "with_for_update" for one in node.keywords
        )
        is_method = isinstance(node, ast.Attribute) and node.attr == "with_for_update"
        is_text = isinstance(node, ast.Constant) and node.value == "with_for_update"
        if is_keyword or is_method or is_text:
            yield node


def locked_rows(module: ast.Module, function: Function, site: ast.AST) -> set[str]:
    """Return the rows that a lock is of; none where that cannot be seen."""
    if not isinstance(site, ast.Call):
        return row_names(function) if isinstance(site, ast.Attribute) else set()
    match site.func, site.args:
        case ast.Attribute(attr="get"), [row, *_]:
            return row_names(row)
        case ast.Attribute(attr="refresh"), [ast.Name(id=name), *_]:
            return rows_of_variable(module, function, name)
        case _:
            return set()


def rows_of_variable(module: ast.Module, function: Function, name: str) -> set[str]:
    """Return the rows that a variable holds: by its annotation, or by what is called."""
    given = [one.value for one in assignments(function, name)]
    arguments = [*function.args.args, *function.args.kwonlyargs]
    notes = [one.annotation for one in arguments if one.arg == name and one.annotation]
    found = [row_names(one) for one in notes]
    found += [row_names(one) or rows_returned(module, one) for one in given]
    return set[str]().union(*found) if all(found) else set()


def assignments(function: Function, name: str) -> Iterator[ast.Assign]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            parts = [
                part
                for target in node.targets
                for part in (target.elts if isinstance(target, ast.Tuple) else [target])
            ]
            if name in {one.id for one in parts if isinstance(one, ast.Name)}:
                yield node


def rows_returned(module: ast.Module, value: ast.AST) -> set[str]:
    """Return the rows that a function of this or an imported module is declared to give."""
    called = value.value if isinstance(value, ast.Await) else value
    match called:
        case ast.Call(func=ast.Name(id=name)):
            return declared(module, name)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=of), attr=name)):
            return declared(imported(module, of), name)
        case _:
            return set()


def declared(module: ast.Module, name: str) -> set[str]:
    found = [one for one in functions(module) if one.name == name and one.returns]
    return set[str]().union(*(row_names(one.returns) for one in found if one.returns))


def imported(module: ast.Module, name: str) -> ast.Module:
    """Return the module of the store that is imported by this name; else an empty one."""
    for node in ast.walk(module):
        for alias in node.names if isinstance(node, ast.ImportFrom) else ():
            if name == (alias.asname or alias.name) and isinstance(
                node, ast.ImportFrom
            ):
                parts = f"{node.module}.{alias.name}".split(".")[3:]
                return parsed(STORE.joinpath(*parts).with_suffix(".py"))
    return ast.Module([], [])


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text()) if path.is_file() else ast.Module([], [])


def row_names(code: ast.AST) -> set[str]:
    names = [one.id for one in ast.walk(code) if isinstance(one, ast.Name)]
    names += [one.attr for one in ast.walk(code) if isinstance(one, ast.Attribute)]
    return {one for one in names if one.endswith("Row")}


def is_lock(sql: ast.Constant) -> bool:
    return any(lock in str(sql.value).upper() for lock in SQL_LOCKS)


def texts(module: ast.Module) -> list[ast.Constant]:
    """Return the texts of a module that are no docstrings."""
    explained = {one.value for one in ast.walk(module) if isinstance(one, ast.Expr)}
    return [
        one
        for one in ast.walk(module)
        if isinstance(one, ast.Constant)
        and isinstance(one.value, str)
        and one not in explained
    ]
