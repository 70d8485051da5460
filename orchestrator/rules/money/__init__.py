"""Amounts, budgets, prices, and the reconciliation of books."""
