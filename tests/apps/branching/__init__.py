"""An application whose workflow has a `run` of its own."""

TOOLS = "tests.apps.desk.tools"
