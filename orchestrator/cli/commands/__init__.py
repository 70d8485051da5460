"""One module a command; `keyturn.orchestrator.cli.program` imports the one that is asked for."""
