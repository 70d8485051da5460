"""Forms made from a JSON Schema, which preserve the types of values."""
