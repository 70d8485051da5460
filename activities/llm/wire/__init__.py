"""What every provider's HTTP exchange needs: bodies, streams, faults."""
