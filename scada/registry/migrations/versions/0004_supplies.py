"""Which metering points have a supply that can be switched, and by which module.

Revision 0004. Stands on its own: it names no class of ours, so that it stays what it was when the models move on.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, String

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "supplies",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("point", String(64), nullable=False),
        Column("eui", sa.CHAR(16), nullable=False),
        Column("kind", String(16), nullable=False),
        Column("title", String(200), nullable=False),
        sa.ForeignKeyConstraint(
            ["point"], ["points.name"], name=op.f("fk_supplies_point"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(
            ["eui"], ["modules.eui"], name=op.f("fk_supplies_eui"), initially="DEFERRED", deferrable=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_supplies")),
        sa.UniqueConstraint("point", name=op.f("uq_supplies_point")),
        sa.UniqueConstraint("eui", name=op.f("uq_supplies_eui")),
    )


def downgrade() -> None:
    op.drop_table("supplies")
