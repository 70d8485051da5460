"""The support desk on a shop that keeps its tenants apart, as the demo's does."""

TOOLS = "activities.tools.support"
