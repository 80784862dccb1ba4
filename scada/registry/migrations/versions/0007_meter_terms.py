"""What meters cost and how they fail, and when each was made or last verified.

Revision 0007. Stands on its own: it names no class of ours, so that it stays what it was when the models move on.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, String

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("meters", Column("verified", String(200), nullable=False, server_default=""))
    op.create_table(
        "meter_terms",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("medium", String(16), nullable=False),
        *(Column(name, sa.Double(), nullable=False)
          for name in ("tariff", "verification", "replacement", "lost", "noticed", "drift")),
        Column("ages", sa.Text(), nullable=False),
        Column("rates", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meter_terms")),
        sa.UniqueConstraint("medium", name=op.f("uq_meter_terms_medium")),
    )


def downgrade() -> None:
    raise NotImplementedError("what meters cost would be lost; restore a backup instead")
