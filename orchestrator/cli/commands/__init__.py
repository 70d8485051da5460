"""One module per command.

`keyturn.orchestrator.cli.program` imports only the requested one.
"""
