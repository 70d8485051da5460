"""${message}."""
# ruff: noqa: PLR0915 a statement a table, in the order of their references

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Lead from the revision before to this one."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Lead back."""
    ${downgrades if downgrades else "pass"}
