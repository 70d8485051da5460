"""The inbox: the queue, one item, hand-offs, and the outcome of decisions."""
