"""Amounts, budgets, prices, and the comparison of books."""
