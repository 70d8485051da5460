"""The shipped contract, which says so."""

from workflows.support import contracts as shipped

APART = shipped.SUPPORT.model_copy(
    update={"separates_tenants": frozenset({"payments"})}
)
