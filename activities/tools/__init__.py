"""Tool functions of the shipped workflows; they reach the world by their context."""
