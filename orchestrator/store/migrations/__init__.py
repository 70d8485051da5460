"""The schema's history; `keyturn.orchestrator.store.migrate` runs it."""
