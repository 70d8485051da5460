"""Approvals: requested, decided, claimed, assigned, edited (P8, P9, P10)."""
