"""What pages, the API and metrics show, read from all rooms of the record."""
