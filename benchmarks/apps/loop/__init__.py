"""A loop that reads something of 2 kB in every turn."""
