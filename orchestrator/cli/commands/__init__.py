"""One module a command; `orchestrator.cli.program` imports the one that is asked for."""
