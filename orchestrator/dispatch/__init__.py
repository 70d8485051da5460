"""Dispatch: delivery to Temporal, and the jobs that run beside it."""
