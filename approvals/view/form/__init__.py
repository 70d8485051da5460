"""Forms made from a JSON Schema: the value that comes back has the types it had."""
