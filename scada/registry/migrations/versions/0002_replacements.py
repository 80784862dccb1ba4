"""Which module took the place of which: until the concentrator's list says so too, it is told.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "replacements",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("eui", sa.CHAR(16), nullable=False),
        Column("heir", sa.CHAR(16), nullable=False),
        Column("hour", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["eui"], ["modules.eui"], name=op.f("fk_replacements_eui"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(
            ["heir"], ["modules.eui"], name=op.f("fk_replacements_heir"), initially="DEFERRED", deferrable=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replacements")),
        sa.UniqueConstraint("eui", name=op.f("uq_replacements_eui")),
    )
    op.create_index(op.f("ix_replacements_heir"), "replacements", ["heir"], unique=False)


def downgrade() -> None:
    op.drop_table("replacements")
