"""The effect ledger: its rows, keys, reach and limits (P1, P2, P5)."""
