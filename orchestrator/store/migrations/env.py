"""Alembic's entry point: runs on the connection that `migrate` passes."""

from alembic import context

from keyturn.orchestrator.store.migrations import target

# `migrate` has begun the one transaction in which everything here happens, and commits.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=target.METADATA,
    compare_type=True,
    compare_server_default=True,
    render_item=target.render,
    user_module_prefix="sa.",
)
context.run_migrations()
