"""Speed, shown by commands that print one JSON line each."""
