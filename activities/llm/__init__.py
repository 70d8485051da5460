"""Models: one adapter for each provider, prices, routing and the simulator."""
