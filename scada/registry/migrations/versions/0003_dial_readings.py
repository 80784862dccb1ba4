"""Readings of meters' dials. Revision 0003. Stands on its own: it names no class of ours."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, String

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dial_readings",
        Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        Column("point", String(64), nullable=False),
        Column("serial", String(200), nullable=False),
        Column("at", sa.BigInteger(), nullable=False),
        Column("value", sa.Double(), nullable=False),
        Column("whole", sa.Integer(), nullable=False),
        Column("decimals", sa.Integer(), nullable=False),
        Column("source", String(16), nullable=False),
        Column("by", String(200), nullable=False),
        Column("photo", String(64), nullable=False),
        Column("key", String(64), nullable=True),
        sa.CheckConstraint("value >= 0", name=op.f("ck_dial_readings_value")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_dial_readings")),
        sa.UniqueConstraint("key", name=op.f("uq_dial_readings_key")),
    )
    op.create_index("ix_dial_readings_point_at", "dial_readings", ["point", "at"], unique=False)
    op.create_index(op.f("ix_dial_readings_source"), "dial_readings", ["source"], unique=False)


def downgrade() -> None:
    op.drop_table("dial_readings")
