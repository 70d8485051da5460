"""The shipped contract, which says so."""

from keyturn.workflows.support import contracts as shipped

APART = shipped.SUPPORT.model_copy(
    update={"separates_tenants": frozenset({"payments"})}
)
