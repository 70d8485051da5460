"""How long a lease lives."""

from datetime import timedelta

LEASE_OVER = timedelta(seconds=30)
