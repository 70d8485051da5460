"""Actions that one person requests and another one confirms (P11)."""
