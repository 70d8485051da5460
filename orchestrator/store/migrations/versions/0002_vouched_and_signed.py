"""Vouched rows, signed releases, grounds of decisions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Lead from the revision before to this one."""
    op.add_column(
        "approvals",
        sa.Column("assigns", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.execute(
        "UPDATE approvals SET assigns = true "
        "WHERE CAST(verdict ->> 'assign' AS TEXT) IN ('true', '1')"
    )
    op.create_index(
        "approvals_to_assign",
        "approvals",
        ["id"],
        unique=False,
        sqlite_where=sa.text("status = 'pending' AND assigns AND assigned_to IS NULL"),
        postgresql_where=sa.text(
            "status = 'pending' AND assigns AND assigned_to IS NULL"
        ),
    )
    op.add_column("decisions", sa.Column("grounds", sa.String(), nullable=True))
    op.add_column("people", sa.Column("mac", sa.String(), nullable=True))
    op.add_column("proposals", sa.Column("mac", sa.String(), nullable=True))
    op.add_column("releases", sa.Column("live_by", sa.String(), nullable=True))
    op.add_column("releases", sa.Column("signature", sa.String(), nullable=True))
    op.add_column("sessions", sa.Column("mac", sa.String(), nullable=True))
    op.add_column("tokens", sa.Column("mac", sa.String(), nullable=True))


def downgrade() -> None:
    """Lead back."""
    op.drop_column("tokens", "mac")
    op.drop_column("sessions", "mac")
    op.drop_column("releases", "signature")
    op.drop_column("releases", "live_by")
    op.drop_column("proposals", "mac")
    op.drop_column("people", "mac")
    op.drop_column("decisions", "grounds")
    op.drop_index(
        "approvals_to_assign",
        table_name="approvals",
        sqlite_where=sa.text("status = 'pending' AND assigns AND assigned_to IS NULL"),
        postgresql_where=sa.text(
            "status = 'pending' AND assigns AND assigned_to IS NULL"
        ),
    )
    op.drop_column("approvals", "assigns")
