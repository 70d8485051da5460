"""A small application for tests of the engine."""
