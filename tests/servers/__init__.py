"""Real servers for the tests: Temporal, PostgreSQL and Chromium.

One of each serves the whole test run, however many processes share the work. It starts
when a test first asks for it and ends with the run, also where the run is killed.
Tests that stop a server, or kill it, start one of their own (`Own`).
"""
