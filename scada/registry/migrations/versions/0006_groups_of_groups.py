"""Balance groups of groups: kinds, members that come and go, sub-meters, accuracy classes, own consumption.

Revision 0006. Stands on its own: it names no class of ours, so that it stays what it was when the models move on.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, String

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _to(columns: list[str], targets: list[str], name: str) -> sa.ForeignKeyConstraint:
    """A foreign key that is checked at commit."""
    return sa.ForeignKeyConstraint(columns, targets, name=op.f(name), initially="DEFERRED", deferrable=True)


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _rebuild()
    else:
        _alter()
    op.create_table(
        "balance_members",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("group", String(64), nullable=False),
        Column("member", String(64), nullable=False),
        Column("valid_from", sa.Integer(), nullable=False),
        Column("valid_to", sa.Integer(), nullable=True),
        Column("role", String(16), nullable=False),
        sa.CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name=op.f("ck_balance_members_period")),
        _to(["group"], ["balance_groups.name"], "fk_balance_members_group"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_balance_members")),
        sa.UniqueConstraint("group", "member", "valid_from", name=op.f("uq_balance_members_group_member_valid_from")),
    )
    op.create_index(op.f("ix_balance_members_member"), "balance_members", ["member"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("groups of groups cannot be told to what was before them; restore a backup instead")


def _alter() -> None:
    op.add_column("points", Column("sub_meter_of", String(64), nullable=True))
    op.create_foreign_key(
        op.f("fk_points_sub_meter_of"), "points", "points", ["sub_meter_of"], ["name"], initially="DEFERRED",
        deferrable=True,
    )
    op.create_index(op.f("ix_points_sub_meter_of"), "points", ["sub_meter_of"], unique=False)
    _filled("meters", Column("accuracy_class", sa.Double(), nullable=False, server_default="1.0"))
    op.create_check_constraint(op.f("ck_meters_class"), "meters", "accuracy_class > 0")
    op.alter_column("balance_groups", "normal_loss", nullable=True)
    _filled("balance_groups", Column("kind", String(16), nullable=False, server_default="free"))
    _filled("balance_groups", Column("metering_w", sa.Double(), nullable=False, server_default="0"))
    _filled("balance_groups", Column("metering_w_each", sa.Double(), nullable=False, server_default="0"))
    op.drop_constraint(op.f("fk_balance_group_members_member"), "balance_group_members", type_="foreignkey")


def _filled(table: str, column: Column[Any]) -> None:
    """A column for rows that are there already; the default is for them alone."""
    op.add_column(table, column)
    op.alter_column(table, column.name, server_default=None)


def _rebuild() -> None:
    """SQLite changes no constraint of a table: each is made anew, under its name, so that what refers to it still does."""
    _anew(
        "points", "id, name, medium, consumer, title, node, power_factor", "NULL",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("name", String(64), nullable=False),
        Column("medium", String(16), nullable=False),
        Column("consumer", String(64), nullable=True),
        Column("title", String(200), nullable=False),
        Column("node", String(200), nullable=False, server_default=""),
        Column("power_factor", sa.Double(), nullable=False, server_default="1"),
        Column("sub_meter_of", String(64), nullable=True),
        _to(["consumer"], ["consumers.name"], "fk_points_consumer"),
        _to(["sub_meter_of"], ["points.name"], "fk_points_sub_meter_of"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points")),
        sa.UniqueConstraint("name", name=op.f("uq_points_name")),
    )
    op.create_index(op.f("ix_points_consumer"), "points", ["consumer"], unique=False)
    op.create_index(op.f("ix_points_sub_meter_of"), "points", ["sub_meter_of"], unique=False)
    _anew(
        "meters",
        "id, serial, point, eui, channel, pulses_per_unit, valid_from, valid_to, start_register, final_register", "1.0",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("serial", String(200), nullable=False),
        Column("point", String(64), nullable=False),
        Column("eui", sa.CHAR(16), nullable=False),
        Column("channel", sa.Integer(), nullable=False),
        Column("pulses_per_unit", sa.Double(), nullable=False),
        Column("valid_from", sa.Integer(), nullable=False),
        Column("valid_to", sa.Integer(), nullable=True),
        Column("start_register", sa.Double(), nullable=True),
        Column("final_register", sa.Double(), nullable=True),
        Column("accuracy_class", sa.Double(), nullable=False),
        sa.CheckConstraint("pulses_per_unit > 0", name=op.f("ck_meters_constant")),
        sa.CheckConstraint("accuracy_class > 0", name=op.f("ck_meters_class")),
        sa.CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name=op.f("ck_meters_period")),
        _to(["eui"], ["modules.eui"], "fk_meters_eui"),
        _to(["point"], ["points.name"], "fk_meters_point"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meters")),
        sa.UniqueConstraint("eui", "channel", "valid_from", name=op.f("uq_meters_eui_channel_valid_from")),
    )
    op.create_index(op.f("ix_meters_point"), "meters", ["point"], unique=False)
    _anew(
        "balance_groups", "id, name, medium, title, transformer, feed_tag, feed_point, normal_loss, limit_percent",
        "'free', 0.0, 0.0",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("name", String(64), nullable=False),
        Column("medium", String(16), nullable=False),
        Column("title", String(200), nullable=False),
        Column("transformer", String(64), nullable=True),
        Column("feed_tag", String(200), nullable=False),
        Column("feed_point", String(64), nullable=True),
        Column("normal_loss", sa.Double(), nullable=True),
        Column("limit_percent", sa.Double(), nullable=False),
        Column("kind", String(16), nullable=False),
        Column("metering_w", sa.Double(), nullable=False),
        Column("metering_w_each", sa.Double(), nullable=False),
        sa.CheckConstraint("normal_loss BETWEEN 0 AND 1", name=op.f("ck_balance_groups_loss")),
        _to(["feed_point"], ["points.name"], "fk_balance_groups_feed_point"),
        _to(["transformer"], ["transformers.name"], "fk_balance_groups_transformer"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_balance_groups")),
        sa.UniqueConstraint("name", name=op.f("uq_balance_groups_name")),
    )
    op.create_index(op.f("ix_balance_groups_feed_point"), "balance_groups", ["feed_point"], unique=False)
    op.create_index(op.f("ix_balance_groups_transformer"), "balance_groups", ["transformer"], unique=False)
    _anew(
        "balance_group_members", "owner, position, member", "",
        Column("owner", String(64), nullable=False),
        Column("position", sa.Integer(), autoincrement=False, nullable=False),
        Column("member", String(64), nullable=False),
        _to(["owner"], ["balance_groups.name"], "fk_balance_group_members_owner"),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_balance_group_members")),
    )
    op.create_index(op.f("ix_balance_group_members_member"), "balance_group_members", ["member"], unique=False)


def _anew(table: str, columns: str, defaults: str, *definition: Any) -> None:
    """
    Make a table anew with the rows it has, which get `defaults` in the columns that are new and last.

    While it is gone its keys are missing to whoever refers to them; foreign keys are checked at commit, and until then the
    rows are back. A table that is renamed would take the references with it.
    """
    op.execute(f"CREATE TABLE rows_of_{table} AS SELECT {columns} FROM {table}")
    op.drop_table(table)
    op.create_table(table, *definition)
    new = f", {defaults}" if defaults else ""
    op.execute(f"INSERT INTO {table} SELECT {columns}{new} FROM rows_of_{table}")
    op.execute(f"DROP TABLE rows_of_{table}")
