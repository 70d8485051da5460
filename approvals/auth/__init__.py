"""Who somebody is, and what their role may do."""
