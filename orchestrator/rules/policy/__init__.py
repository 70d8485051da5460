"""What policy says of an action: allow, ask a person, or deny."""
