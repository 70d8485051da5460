"""One turn of a run: where it stands, what it is told, and its one commit."""
