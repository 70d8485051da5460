"""The inbox: what waits for people, one item, hand-offs, and what came of decisions."""
