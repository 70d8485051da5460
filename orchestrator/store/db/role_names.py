"""The names of the roles that our processes have in PostgreSQL."""

WEB = "keyturn_web"
WORKER = "keyturn_worker"
EFFECTS = "keyturn_effects"
ROLES = (WEB, WORKER, EFFECTS)
WORKERS = (WORKER, EFFECTS)
