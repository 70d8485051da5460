"""Notices to people and programs: mail, signed webhooks, browsers."""
