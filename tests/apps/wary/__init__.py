"""The support desk with a contract that lets nothing pass without a person."""

TOOLS = "keyturn.activities.tools.support"
