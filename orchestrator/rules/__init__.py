"""Rules: pure code without access to a database, a network or a framework."""
