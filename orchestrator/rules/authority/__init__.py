"""Who may decide, what a decision is bound to, and what holds a run."""
