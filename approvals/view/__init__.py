"""How facts, amounts, states and untrusted text are shown to people."""
