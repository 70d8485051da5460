"""The shipped support desk: contracts and flow; its tools are in the activities."""

TOOLS = "keyturn.activities.tools.support"
