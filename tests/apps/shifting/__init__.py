"""An application whose workflow's code changes under its runs, as a bad deploy would."""

TOOLS = "tests.apps.desk.tools"
