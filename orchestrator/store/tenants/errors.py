"""What keeps a tenant or a source from being used."""

from typing import ClassVar

from keyturn.orchestrator.rules.errors import InvalidValue, KeyturnError


class SourceTaken(KeyturnError):
    """The source is another account's."""

    http_status: ClassVar[int] = 403


class UndeclaredTenant(InvalidValue):
    """No tenant of this name is declared."""


class TenantDeclared(KeyturnError):
    """A tenant of this name, or of one that reads like it, is declared already."""

    http_status: ClassVar[int] = 409
