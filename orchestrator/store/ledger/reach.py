"""The customer and the subject that an action touches, as its provider knows them.

A limit, "already done" and "one open effect a subject" hold for a service's customer
and subject, whatever a caller names the tenant, and however either is spelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import col

from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.money.scope import of_limit
from keyturn.orchestrator.rules.text import folded_name
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import EffectRow, RunRow
from keyturn.orchestrator.store.tenants import tenants

# No service is declared, or the service does not separate tenants: it meets every
# other.
ANY = ""


@dataclass(frozen=True)
class Reach:
    """What one action touches; customer and subject are folded.

    `service` and `tenant` are `ANY` if the releases do not separate them.
    """

    service: str
    tenant: str
    customer: str
    subject: str | None

    def same_customer(self) -> list[Any]:
        """Match the effects for the same customer of the same service."""
        return [*self._same_place(), col(EffectRow.customer_key) == self.customer]

    def same_subject(self) -> list[Any]:
        """Match the effects on the same subject of the same service.

        Actions without a subject share one if their customer is the same.
        """
        same = [*self._same_place(), col(EffectRow.subject_key) == self.subject]
        if self.subject is None:
            same.append(col(EffectRow.customer_key) == self.customer)
        return same

    def locks(self) -> dict[str, str]:
        """Return what to lock before either is read, by the kind of lock.

        Without service and tenant: an action that is not separated meets those that
        are.
        """
        subject = (
            of_limit("subject", self.subject)
            if self.subject is not None
            else of_limit("no subject", self.customer)
        )
        return {"customer": of_limit("customer", self.customer), "subject": subject}

    def _same_place(self) -> list[Any]:
        return [
            column.in_((wanted, ANY))
            for column, wanted in (
                (col(EffectRow.service), self.service),
                (col(EffectRow.within_tenant), self.tenant),
            )
            if wanted != ANY
        ]


async def of(
    session: Tx,
    run: RunRow,
    tool: str,
    releases: Sequence[Release],
    *,
    subject: str | None,
) -> Reach:
    """Return what a call touches; each of the releases has to separate it."""
    granting = [one for one in releases if any(t.name == tool for t in one.tools)]
    services = {one.tool(tool).service or ANY for one in granting}
    service = services.pop() if len(services) == 1 else ANY
    is_apart = service != ANY and all(
        service in one.separates_tenants for one in granting
    )
    is_apart = is_apart or await tenants.is_rehearsal(session, run.tenant)
    return Reach(
        service=service,
        tenant=run.tenant if is_apart else ANY,
        customer=folded_name.fold(run.customer),
        subject=key_of(subject),
    )


def of_effect(effect: EffectRow) -> Reach:
    """Return what a recorded effect touches."""
    return Reach(
        service=effect.service,
        tenant=effect.within_tenant,
        customer=effect.customer_key,
        subject=effect.subject_key,
    )


def key_of(subject: str | None) -> str | None:
    """Return a subject's id in one spelling; a service does not know our fields."""
    if subject is None:
        return None
    return folded_name.fold(subject.partition("=")[2])
