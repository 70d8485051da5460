"""All access to external systems: models, tools, connectors and their effects."""
