"""Tool functions of the shipped workflows; they use connectors from their context."""
