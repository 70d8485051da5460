"""`python -m keyturn.orchestrator.cli` is `keyturn`."""

from keyturn.orchestrator.cli import main

main()
