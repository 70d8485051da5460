"""Runs: started once, controlled, and ended."""
