"""Who approves in this project."""

MANAGER = "ann"
