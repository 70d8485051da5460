"""Sealing the audit log, and verifying it against the tables (P13)."""
