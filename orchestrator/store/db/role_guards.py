"""Triggers that restrict a worker's changes where a grant is not precise enough.

A grant says which columns may change; a trigger says how. They apply to accounts that
have the role of a worker and not that of the web process: the owner of the tables is
not restricted.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from keyturn.orchestrator.store.db import role_names
from keyturn.orchestrator.store.db.role_names import EFFECTS, WEB, WORKER

_NOT_WEB = f"NOT pg_has_role(current_user, '{WEB}', 'USAGE')"
_HAS = "pg_has_role(current_user, '{}', 'USAGE')"
# Accounts of both kinds of workers, and of the plain one.
EITHER = f"({_HAS.format(WORKER)} OR {_HAS.format(EFFECTS)}) AND {_NOT_WEB}"
PLAIN = f"{_HAS.format(WORKER)} AND {_NOT_WEB}"

# Actions of people, or of the web process for them: only the web process logs these.
PEOPLES = (
    "^(decision|person|token|session|sign_in|switch|proposal|release|tenant|source|"
    "webhook|bulk)[._]|^approval[.](assigned|claimed|extended)|^incident[.]closed"
)
ENDED = "('completed', 'handed_off', 'failed', 'cancelled')"
OPEN = "('waiting', 'pending', 'approved')"


@dataclass(frozen=True)
class Guard:
    """A row that is refused to an account: the condition, and the message."""

    name: str
    table: str
    event: str
    whose: str
    refused: str
    words: str

    def statement(self) -> str:
        """Return the statement that creates the trigger."""
        return (
            f"CREATE OR REPLACE TRIGGER keyturn_{self.name} BEFORE {self.event} "
            f"ON {self.table} FOR EACH ROW WHEN (({self.refused}) AND {self.whose}) "
            f"EXECUTE FUNCTION keyturn_refuse('{self.words}')"
        )


GUARDS = (
    Guard(
        "lifts_no_hold",
        "runs",
        "UPDATE OF paused_by, cancel_reason",
        EITHER,
        "OLD.paused_by IS NOT NULL AND OLD.paused_by IS DISTINCT FROM NEW.paused_by "
        "OR OLD.cancel_reason IS NOT NULL "
        "AND OLD.cancel_reason IS DISTINCT FROM NEW.cancel_reason",
        "a pause or cancel is lifted by people",
    ),
    Guard(
        "revives_no_run",
        "runs",
        "UPDATE OF status",
        PLAIN,
        f"OLD.status IN {ENDED} AND NEW.status IS DISTINCT FROM OLD.status",
        "a run that has ended stays so",
    ),
    Guard(
        "drafts_alone",
        "approvals",
        "INSERT",
        EITHER,
        "NEW.assigned_to IS NOT NULL OR NEW.claimed_by IS NOT NULL "
        "OR NEW.consumed_by IS NOT NULL OR NEW.status NOT IN ('waiting', 'pending')",
        "what is drafted is asked of nobody yet",
    ),
    Guard(
        "gives_no_yes",
        "approvals",
        "UPDATE OF status",
        EITHER,
        "NEW.status IS DISTINCT FROM OLD.status AND ("
        "NEW.status IN ('approved', 'rejected', 'changes') "
        f"OR OLD.status NOT IN {OPEN} "
        "OR OLD.status = 'approved' AND NEW.status IN ('waiting', 'pending'))",
        "people answer, and what is closed stays closed",
    ),
    Guard(
        "uses_no_yes",
        "approvals",
        "UPDATE OF consumed_by",
        PLAIN,
        "NEW.consumed_by IS NOT NULL AND NEW.consumed_by IS DISTINCT FROM OLD.consumed_by",
        "the effect worker uses an approval",
    ),
    Guard(
        "frees_leases_alone",
        "effects",
        "UPDATE",
        PLAIN,
        "OLD.status <> 'leased' OR OLD.sending_at IS NOT NULL OR NEW.status <> 'refused'",
        "what may have been sent is the ledger''s",
    ),
    Guard(
        "reopens_no_call",
        "calls",
        "UPDATE OF status",
        PLAIN,
        "OLD.status <> 'open' AND NEW.status IS DISTINCT FROM OLD.status",
        "a call that has ended stays so",
    ),
    Guard(
        "unreads_nothing",
        "customer_messages",
        "UPDATE OF turn",
        PLAIN,
        "OLD.turn IS NOT NULL AND NEW.turn IS DISTINCT FROM OLD.turn",
        "what was read was read then",
    ),
    Guard(
        "logs_for_itself",
        "audit",
        "INSERT",
        EITHER,
        "NEW.position IS NOT NULL OR NEW.previous IS NOT NULL OR NEW.hash IS NOT NULL "
        f"OR NEW.kind ~ '{PEOPLES}'",
        "a worker logs what it did, and chains nothing",
    ),
    Guard(
        "closes_no_alarm",
        "incidents",
        "INSERT",
        EITHER,
        "NEW.status <> 'open' OR NEW.closed_at IS NOT NULL OR NEW.opened_by <> 'system'",
        "an incident is closed by people",
    ),
    Guard(
        "feigns_no_alarm",
        "incidents",
        "INSERT",
        PLAIN,
        "NEW.source LIKE 'forged %' "
        "OR NEW.source LIKE '%was meddled with' AND NEW.severity <> 'critical'",
        "others look for forgeries",
    ),
)

# The function with which a guard refuses; the others need more than the row itself.
FUNCTIONS = (
    """
    CREATE OR REPLACE FUNCTION keyturn_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE insufficient_privilege
            USING MESSAGE = 'permission denied: ' || TG_ARGV[0];
    END $$
    """,
    # Ids come from the sequence: an id ahead of it would collide with others.
    """
    CREATE OR REPLACE FUNCTION keyturn_next_id() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        newest bigint;
    BEGIN
        EXECUTE format('SELECT last_value FROM %I', TG_ARGV[0]) INTO newest;
        IF NEW.id > newest OR NEW.id < 1 THEN
            RAISE insufficient_privilege
                USING MESSAGE = 'permission denied: ids come from the sequence';
        END IF;
        RETURN NEW;
    END $$
    """,
    # The first to look at a run under a bulk pause or cancel logs it for its author.
    """
    CREATE OR REPLACE FUNCTION keyturn_acts_for() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.kind IN ('run.paused', 'run.cancelled') AND EXISTS (
            SELECT FROM bulks AS b WHERE b.by = NEW.actor AND b.ended_at IS NULL
        ) THEN
            RETURN NEW;
        END IF;
        RAISE insufficient_privilege
            USING MESSAGE = 'permission denied: a worker logs what it did itself';
    END $$
    """,
    # Checked at the commit: the approval is for an existing call of that run, as it
    # stands.
    """
    CREATE OR REPLACE FUNCTION keyturn_is_drafted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NOT EXISTS (
            SELECT FROM calls AS c JOIN runs AS r ON r.id = c.run
            WHERE c.run = NEW.run AND c.turn = NEW.turn AND c.index = NEW.index
            AND c.revision = NEW.revision AND c.tool = NEW.tool
            AND COALESCE(c.effective, c.arguments) = NEW.arguments
            AND c.subject IS NOT DISTINCT FROM NEW.subject
            AND r.release = NEW.release AND r.tenant = NEW.tenant
            AND r.workflow = NEW.workflow AND r.customer = NEW.customer
        ) THEN
            RAISE insufficient_privilege
                USING MESSAGE = 'permission denied: no such call is to be asked about';
        END IF;
        RETURN NULL;
    END $$
    """,
)
_NUMBERED = ("audit", "outbox")
_DRAFTED = (
    "DROP TRIGGER IF EXISTS keyturn_is_drafted ON approvals",
    "CREATE CONSTRAINT TRIGGER keyturn_is_drafted AFTER INSERT ON approvals "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
    f"WHEN ({EITHER}) EXECUTE FUNCTION keyturn_is_drafted()",
)


def statements() -> Iterable[str]:
    """Return all statements that create the guards, for the owner of the tables."""
    yield from FUNCTIONS
    for guard in GUARDS:
        yield guard.statement()
    for table in _NUMBERED:
        sequence = f"{table}_id_seq"
        yield (
            f"CREATE OR REPLACE TRIGGER keyturn_next_id BEFORE INSERT ON {table} "
            f"FOR EACH ROW WHEN ({EITHER}) "
            f"EXECUTE FUNCTION keyturn_next_id('{sequence}')"
        )
        for role in role_names.WORKERS:
            yield f"GRANT SELECT ON SEQUENCE {sequence} TO {role}"
    yield (
        "CREATE OR REPLACE TRIGGER keyturn_acts_for BEFORE INSERT ON audit FOR EACH ROW "
        "WHEN (NEW.actor <> 'system' AND NEW.actor NOT LIKE 'run:%' "
        f"AND {EITHER}) EXECUTE FUNCTION keyturn_acts_for()"
    )
    yield from _DRAFTED
