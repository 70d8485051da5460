"""The common parts of every provider's HTTP exchange: bodies, streams, faults."""
