"""Models: one adapter a provider, prices, routing and the simulator."""
