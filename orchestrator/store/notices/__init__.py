"""Notices to people and webhooks: created from the log, queued, retried."""
