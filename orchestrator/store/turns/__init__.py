"""One turn of a run: its position, its input, and its one commit."""
