"""Switches: set as a barrier, lifted, and what they cover (P3)."""
