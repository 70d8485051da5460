"""The database: transactions, roles, locks, digests of rows."""
