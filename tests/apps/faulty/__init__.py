"""An application whose workflow's own `run` fails, always."""

TOOLS = "tests.apps.desk.tools"
