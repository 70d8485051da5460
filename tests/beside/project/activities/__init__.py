"""This project's own activities."""
