"""This project's own approvals."""
