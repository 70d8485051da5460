"""A Keyturn application of this project."""
