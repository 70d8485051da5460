"""Authentication, and what each role may do."""
