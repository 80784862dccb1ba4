"""Low-voltage networks: kinds of cable, their sections, what the transformers have, and where metering points hang.

Revision 0005. Stands on its own: it names no class of ours, so that it stays what it was when the models move on.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, Double, String

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

IMPEDANCES = ("r_phase", "x_phase", "r_neutral", "x_neutral")
FIGURES = ("uk_percent", "load_loss_kw", "no_load_loss_kw")


def upgrade() -> None:
    op.create_table(
        "linecodes",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("name", String(64), nullable=False),
        *(Column(name, Double(), nullable=False) for name in IMPEDANCES),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_linecodes")),
        sa.UniqueConstraint("name", name=op.f("uq_linecodes_name")),
    )
    op.create_table(
        "sections",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("name", String(64), nullable=False),
        Column("feeder", String(64), nullable=False),
        Column("from_node", String(200), nullable=False),
        Column("to_node", String(200), nullable=False),
        Column("length_m", Double(), nullable=False),
        Column("linecode", String(64), nullable=True),
        *(Column(name, Double(), nullable=True) for name in IMPEDANCES),
        sa.CheckConstraint("length_m >= 0", name=op.f("ck_sections_length")),
        sa.ForeignKeyConstraint(
            ["feeder"], ["feeders.name"], name=op.f("fk_sections_feeder"), initially="DEFERRED", deferrable=True
        ),
        sa.ForeignKeyConstraint(
            ["linecode"], ["linecodes.name"], name=op.f("fk_sections_linecode"), initially="DEFERRED", deferrable=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sections")),
        sa.UniqueConstraint("name", name=op.f("uq_sections_name")),
    )
    op.create_index(op.f("ix_sections_feeder"), "sections", ["feeder"])
    op.create_index(op.f("ix_sections_linecode"), "sections", ["linecode"])
    for name in FIGURES:
        op.add_column("transformers", Column(name, Double(), nullable=True))
    for name in ("vector_group", "root"):
        op.add_column("transformers", Column(name, String(200), nullable=False, server_default=""))
    op.add_column("points", Column("node", String(200), nullable=False, server_default=""))
    op.add_column("points", Column("power_factor", Double(), nullable=False, server_default="1"))


def downgrade() -> None:
    for name in ("power_factor", "node"):
        op.drop_column("points", name)
    for name in ("root", "vector_group", *reversed(FIGURES)):
        op.drop_column("transformers", name)
    op.drop_table("sections")
    op.drop_table("linecodes")
