"""What a workflow declares: its contract, tools, models and connectors."""
