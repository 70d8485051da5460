"""The processes of Keyturn, each composed in one place."""
