"""Everything that touches the world: models, tools, connectors and the effects they have."""
