"""The shipped support desk: contracts and flow here, its tools among the activities."""

TOOLS = "keyturn.activities.tools.support"
