"""The record that the pages are shown over."""

from tests.approvals.pages.conftest import app, doors, planted, seed, store

__all__ = ["app", "doors", "planted", "seed", "store"]
