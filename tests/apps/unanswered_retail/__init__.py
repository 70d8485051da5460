"""The retail desk where approvals expire at once: nobody ever answers here."""

TOOLS = "examples.retail.tools"
