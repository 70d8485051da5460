"""The names of our processes' roles in PostgreSQL."""

WEB = "keyturn_web"
WORKER = "keyturn_worker"
EFFECTS = "keyturn_effects"
ROLES = (WEB, WORKER, EFFECTS)
WORKERS = (WORKER, EFFECTS)
