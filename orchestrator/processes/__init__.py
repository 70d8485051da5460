"""The processes that Keyturn runs as, each put together in one place."""
