"""Deterministic flow: the agent loop and the shipped workflows."""
