"""Workflow code stays apart from the world: what it imports, and that the sandbox takes it."""

import importlib
import pkgutil
import subprocess
import sys
import warnings

import pytest
from temporalio import workflow
from temporalio.worker.workflow_sandbox import (
    SandboxedWorkflowRunner,
    SandboxRestrictions,
)
from temporalio.workflow import SandboxImportNotificationPolicy

from keyturn import workflows

MODULES = [
    found.name
    for found in pkgutil.walk_packages(workflows.__path__, "keyturn.workflows.")
    if not found.ispkg
]
WORLD = {
    "aiosmtplib",
    "anthropic",
    "fastapi",
    "httpx2",
    "openai",
    "psycopg",
    "sqlalchemy",
    "sqlmodel",
}
STRICT = SandboxRestrictions.default.with_passthrough_modules(
    "keyturn.orchestrator", "keyturn.activities.interface", "pydantic"
).with_import_notification_policy(
    SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
    | SandboxImportNotificationPolicy.WARN_ON_UNINTENTIONAL_PASSTHROUGH
)
# Packages without code that runs in a workflow: each run has its own.
PACKAGES = {"keyturn", "keyturn.activities", "keyturn.workflows"}


@pytest.mark.parametrize("module", MODULES)
def test_importing_a_workflow_loads_no_io_library(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"

    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()

    assert WORLD & set(loaded) == set()


@pytest.mark.parametrize("module", MODULES)
async def test_sandbox_loads_a_workflow_without_unlisted_imports(module: str) -> None:
    others = [name for name in MODULES if name != module]
    runner = SandboxedWorkflowRunner(
        restrictions=STRICT.with_passthrough_modules(*others)
    )

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for definition in _definitions(module):
            runner.prepare_workflow(definition)

    named = {str(one.message).split(" ")[1] for one in said}
    assert named <= PACKAGES, [str(one.message) for one in said]


def _definitions(module: str) -> list["workflow._Definition"]:
    """What Temporal knows of the workflows that a module defines itself."""
    classes = [
        value
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, type) and value.__module__ == module
    ]
    found = map(workflow._Definition.from_class, classes)
    return [definition for definition in found if definition]
