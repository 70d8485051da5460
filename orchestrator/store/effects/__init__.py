"""Effects: authorized, leased, sent at most once, and reconciled (P1, P2)."""
