"""The schema's history; `orchestrator.store.migrate` runs it."""
