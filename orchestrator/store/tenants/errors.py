"""Errors of using a tenant or a source."""

from typing import ClassVar

from keyturn.orchestrator.rules.errors import InvalidValue, KeyturnError


class SourceTaken(KeyturnError):
    """The source belongs to another account."""

    http_status: ClassVar[int] = 403


class UndeclaredTenant(InvalidValue):
    """No tenant with this name is declared."""


class TenantDeclared(KeyturnError):
    """A tenant with this name, or with one that reads like it, is declared already."""

    http_status: ClassVar[int] = 409
