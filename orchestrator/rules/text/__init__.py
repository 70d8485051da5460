"""Texts: canonical JSON, schemas, patterns, redaction and transcripts."""
