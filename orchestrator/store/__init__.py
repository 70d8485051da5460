"""The record: the only code that touches the database."""
