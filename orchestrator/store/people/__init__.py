"""Accounts, sessions, tokens and what each may do."""
