"""Tenants, and the sources that runs come from."""
