"""The limit of a balance group is that of its medium, unless it has one of its own.

Revision 0009. Stands on its own: it names no class of ours, so that it stays what it was when the models move on. Ten was
what stood where nobody had given a limit.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, String

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COLUMNS = (
    "id, name, medium, title, transformer, feed_tag, feed_point, normal_loss, limit_percent, kind, metering_w, "
    "metering_w_each"
)


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _rebuild()
    else:
        op.alter_column("balance_groups", "limit_percent", nullable=True)
    op.execute("UPDATE balance_groups SET limit_percent = NULL WHERE limit_percent = 10")


def downgrade() -> None:
    raise NotImplementedError("limits by medium cannot be told to what was before them; restore a backup instead")


def _rebuild() -> None:
    """
    SQLite changes no constraint of a table: it is made anew, under its name, so that what refers to it still does.

    While it is gone its keys are missing to whoever refers to them; foreign keys are checked at commit, and until then the
    rows are back.
    """
    op.execute(f"CREATE TABLE rows_of_balance_groups AS SELECT {COLUMNS} FROM balance_groups")
    op.drop_table("balance_groups")
    op.create_table(
        "balance_groups",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("name", String(64), nullable=False),
        Column("medium", String(16), nullable=False),
        Column("title", String(200), nullable=False),
        Column("transformer", String(64), nullable=True),
        Column("feed_tag", String(200), nullable=False),
        Column("feed_point", String(64), nullable=True),
        Column("normal_loss", sa.Double(), nullable=True),
        Column("limit_percent", sa.Double(), nullable=True),
        Column("kind", String(16), nullable=False),
        Column("metering_w", sa.Double(), nullable=False),
        Column("metering_w_each", sa.Double(), nullable=False),
        sa.CheckConstraint("normal_loss BETWEEN 0 AND 1", name=op.f("ck_balance_groups_loss")),
        _to(["feed_point"], ["points.name"], "fk_balance_groups_feed_point"),
        _to(["transformer"], ["transformers.name"], "fk_balance_groups_transformer"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_balance_groups")),
        sa.UniqueConstraint("name", name=op.f("uq_balance_groups_name")),
    )
    op.execute(f"INSERT INTO balance_groups SELECT {COLUMNS} FROM rows_of_balance_groups")
    op.execute("DROP TABLE rows_of_balance_groups")
    for name in ("feed_point", "transformer"):
        op.create_index(op.f(f"ix_balance_groups_{name}"), "balance_groups", [name], unique=False)


def _to(columns: list[str], targets: list[str], name: str) -> sa.ForeignKeyConstraint:
    """A foreign key that is checked at commit."""
    return sa.ForeignKeyConstraint(columns, targets, name=op.f(name), initially="DEFERRED", deferrable=True)
