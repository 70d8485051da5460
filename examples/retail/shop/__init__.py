"""A shop as an outside system: it knows nothing of Keyturn and keeps its own rules."""
