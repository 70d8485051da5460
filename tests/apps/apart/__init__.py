"""The support desk on a shop that keeps its tenants apart, as the demo's does."""

TOOLS = "keyturn.activities.tools.support"
