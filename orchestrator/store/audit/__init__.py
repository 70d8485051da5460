"""The audit log: recorded, listed, and its chain of hashes (P13)."""
