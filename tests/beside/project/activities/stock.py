"""The stock of this project."""

from temporalio import activity


@activity.defn(name="reserve")
async def reserve(item: str) -> str:
    """Return what was reserved."""
    return f"reserved {item}"
