"""People for tests: made on first use, with a token each."""

from dataclasses import dataclass, field

from keyturn.approvals.auth import accounts
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people import tokens
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.tables import PersonRow
from tests.tenancy import declare

PASSWORD = "correct horse battery"  # noqa: S105 of nobody real


@dataclass
class People:
    """Opens accounts in a store."""

    store: Store
    _known: dict[str, tuple[PersonRow, str]] = field(default_factory=dict)

    async def named(
        self,
        name: str,
        *,
        role: str = "agent",
        tenant: str | None = None,
        kind: str = "person",
        password: str | None = None,
    ) -> PersonRow:
        """The person of that name, with these when first named."""
        if name not in self._known:
            new = NewPerson.model_validate(
                {
                    "name": name.capitalize(),
                    "email": f"{name}@shop.example",
                    "role": role,
                    "kind": kind,
                    "tenant": tenant,
                }
            )
            if tenant is not None:
                await declare(self.store, tenant)
            row = await accounts.add(self.store, new, password=password)
            await person_accounts.waive_first_day(self.store, row.id, by="test")
            bound = (tenant or "default",) if kind == "service" else ()
            token = await tokens.create(
                self.store, row.id, name="test", by="system", tenants=bound
            )
            self._known[name] = (row, token)
        return self._known[name][0]

    async def token(self, name: str, **options: str | None) -> dict[str, str]:
        """The header that makes a request theirs."""
        await self.named(name, **options)  # type: ignore[arg-type]  # passed through
        return {"Authorization": f"Bearer {self._known[name][1]}"}
