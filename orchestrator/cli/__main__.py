"""`python -m orchestrator.cli` is `keyturn`."""

from orchestrator.cli import main

main()
