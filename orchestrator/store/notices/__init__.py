"""Notices to people and webhooks: fanned out from the log, queued, retried."""
