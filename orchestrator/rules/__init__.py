"""Rules: pure code, which reaches no database, no network and no framework."""
