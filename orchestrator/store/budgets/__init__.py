"""Budgets: limits, reservations at the worst case, and settlement (P4)."""
