"""Releases: published under their hash, signed, live."""
