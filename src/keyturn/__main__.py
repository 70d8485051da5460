"""`python -m keyturn` is the command `keyturn`."""

from keyturn.orchestrator.cli import main

main()
