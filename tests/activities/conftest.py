"""The record of a desk, once on each database."""

from tests.orchestrator.store.conftest import desk

__all__ = ["desk"]
