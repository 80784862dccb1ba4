"""The registry as it was first published.

Revision 0001. Stands on its own: it names no class of ours, so that it stays what it was when the models move on.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, String

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY_SQLITE = (
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
)
APPEND_ONLY_POSTGRESQL = (
    "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$",
    "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_append_only()",
    "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()",
)


def _to(columns: list[str], targets: list[str], name: str) -> sa.ForeignKeyConstraint:
    """A foreign key that is checked at commit."""
    return sa.ForeignKeyConstraint(columns, targets, name=op.f(name), initially="DEFERRED", deferrable=True)


def upgrade() -> None:
    op.create_table(
        "audit",
        Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        Column("at", sa.BigInteger(), nullable=False),
        Column("actor", String(200), nullable=False),
        Column("origin", String(16), nullable=False),
        Column("action", String(64), nullable=False),
        Column("target", String(200), nullable=False),
        Column("detail", sa.Text(), nullable=False),
        Column("digest", String(64), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_action"), "audit", ["action"], unique=False)
    op.create_table(
        "load_groups",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("name", String(64), nullable=False),
        Column("number", sa.Integer(), nullable=False),
        Column("load_class", String(16), nullable=False),
        Column("title", String(200), nullable=False),
        Column("area", String(200), nullable=False),
        Column("epoch", sa.BigInteger(), nullable=False),
        Column("max_off_s", sa.Integer(), nullable=False),
        Column("min_on_s", sa.Integer(), nullable=False),
        sa.CheckConstraint("number BETWEEN 1 AND 255", name=op.f("ck_load_groups_number")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_load_groups")),
        sa.UniqueConstraint("name", name=op.f("uq_load_groups_name")),
        sa.UniqueConstraint("number", name=op.f("uq_load_groups_number")),
    )
    op.create_table(
        "revisions",
        Column("kind", String(16), nullable=False),
        Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_revisions")),
    )
    op.create_table(
        "transformers",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("name", String(64), nullable=False),
        Column("title", String(200), nullable=False),
        Column("rated_kva", sa.Double(), nullable=False),
        Column("area", String(200), nullable=False),
        Column("meter", String(200), nullable=False),
        sa.CheckConstraint("rated_kva > 0", name=op.f("ck_transformers_rated")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transformers")),
        sa.UniqueConstraint("name", name=op.f("uq_transformers_name")),
    )
    op.create_table(
        "users",
        Column("name", String(64), nullable=False),
        Column("password_hash", String(200), nullable=False),
        Column("role", String(16), nullable=False),
        Column("language", String(8), nullable=False),
        Column("disabled", sa.Boolean(), nullable=False),
        Column("must_change", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
    op.create_table(
        "concentrators",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("name", String(64), nullable=False),
        Column("link_id", sa.CHAR(8), nullable=False),
        Column("title", String(200), nullable=False),
        Column("area", String(200), nullable=False),
        Column("transformer", String(64), nullable=True),
        Column("adoption", String(16), nullable=False),
        _to(["transformer"], ["transformers.name"], "fk_concentrators_transformer"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_concentrators")),
        sa.UniqueConstraint("link_id", name=op.f("uq_concentrators_link_id")),
        sa.UniqueConstraint("name", name=op.f("uq_concentrators_name")),
    )
    op.create_index(op.f("ix_concentrators_transformer"), "concentrators", ["transformer"], unique=False)
    op.create_table(
        "feeders",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("name", String(64), nullable=False),
        Column("transformer", String(64), nullable=False),
        Column("title", String(200), nullable=False),
        _to(["transformer"], ["transformers.name"], "fk_feeders_transformer"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feeders")),
        sa.UniqueConstraint("name", name=op.f("uq_feeders_name")),
    )
    op.create_index(op.f("ix_feeders_transformer"), "feeders", ["transformer"], unique=False)
    op.create_table(
        "user_areas",
        Column("user", String(64), nullable=False),
        Column("area", String(200), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name=op.f("fk_user_areas_user"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user", "area", name=op.f("pk_user_areas")),
    )
    op.create_table(
        "consumers",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("name", String(64), nullable=False),
        Column("title", String(200), nullable=False),
        Column("phases", String(8), nullable=False),
        Column("feeder", String(64), nullable=True),
        Column("building", String(200), nullable=False),
        Column("protected", sa.Boolean(), nullable=False),
        Column("contract_kw", sa.Double(), nullable=True),
        _to(["feeder"], ["feeders.name"], "fk_consumers_feeder"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consumers")),
        sa.UniqueConstraint("name", name=op.f("uq_consumers_name")),
    )
    op.create_index(op.f("ix_consumers_feeder"), "consumers", ["feeder"], unique=False)
    op.create_table(
        "modules",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("eui", sa.CHAR(16), nullable=False),
        Column("name", String(64), nullable=False),
        Column("concentrator", String(64), nullable=False),
        Column("index", sa.Integer(), nullable=False),
        Column("state", String(16), nullable=False),
        Column("channels", sa.Integer(), nullable=False),
        Column("adapter", String(200), nullable=False),
        Column("building", String(200), nullable=False),
        Column("title", String(200), nullable=False),
        sa.CheckConstraint('"index" BETWEEN 0 AND 240', name=op.f("ck_modules_index")),
        _to(["concentrator"], ["concentrators.name"], "fk_modules_concentrator"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_modules")),
        sa.UniqueConstraint("eui", name=op.f("uq_modules_eui")),
        sa.UniqueConstraint("name", name=op.f("uq_modules_name")),
    )
    op.create_index(
        "uq_modules_concentrator_index", "modules", ["concentrator", "index"], unique=True,
        sqlite_where=sa.text('"index" > 0'), postgresql_where=sa.text('"index" > 0'),
    )
    op.create_table(
        "loads",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("eui", sa.CHAR(16), nullable=False),
        Column("load_class", String(16), nullable=False),
        Column("title", String(200), nullable=False),
        Column("consumer", String(64), nullable=True),
        Column("rated_w", sa.Double(), nullable=False),
        Column("never", sa.Boolean(), nullable=False),
        Column("manual_restore", sa.Boolean(), nullable=False),
        _to(["consumer"], ["consumers.name"], "fk_loads_consumer"),
        _to(["eui"], ["modules.eui"], "fk_loads_eui"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_loads")),
        sa.UniqueConstraint("eui", name=op.f("uq_loads_eui")),
    )
    op.create_index(op.f("ix_loads_consumer"), "loads", ["consumer"], unique=False)
    op.create_table(
        "points",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("name", String(64), nullable=False),
        Column("medium", String(16), nullable=False),
        Column("consumer", String(64), nullable=True),
        Column("title", String(200), nullable=False),
        _to(["consumer"], ["consumers.name"], "fk_points_consumer"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points")),
        sa.UniqueConstraint("name", name=op.f("uq_points_name")),
    )
    op.create_index(op.f("ix_points_consumer"), "points", ["consumer"], unique=False)
    op.create_table(
        "balance_groups",
        Column("id", sa.Integer(), autoincrement=False, nullable=False),
        Column("name", String(64), nullable=False),
        Column("medium", String(16), nullable=False),
        Column("title", String(200), nullable=False),
        Column("transformer", String(64), nullable=True),
        Column("feed_tag", String(200), nullable=False),
        Column("feed_point", String(64), nullable=True),
        Column("normal_loss", sa.Double(), nullable=False),
        Column("limit_percent", sa.Double(), nullable=False),
        sa.CheckConstraint("normal_loss BETWEEN 0 AND 1", name=op.f("ck_balance_groups_loss")),
        _to(["feed_point"], ["points.name"], "fk_balance_groups_feed_point"),
        _to(["transformer"], ["transformers.name"], "fk_balance_groups_transformer"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_balance_groups")),
        sa.UniqueConstraint("name", name=op.f("uq_balance_groups_name")),
    )
    op.create_index(op.f("ix_balance_groups_feed_point"), "balance_groups", ["feed_point"], unique=False)
    op.create_index(op.f("ix_balance_groups_transformer"), "balance_groups", ["transformer"], unique=False)
    op.create_table(
        "load_group_members",
        Column("owner", String(64), nullable=False),
        Column("position", sa.Integer(), autoincrement=False, nullable=False),
        Column("member", sa.CHAR(16), nullable=False),
        _to(["member"], ["loads.eui"], "fk_load_group_members_member"),
        _to(["owner"], ["load_groups.name"], "fk_load_group_members_owner"),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_load_group_members")),
    )
    op.create_index(op.f("ix_load_group_members_member"), "load_group_members", ["member"], unique=False)
    op.create_table(
        "meters",
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
        sa.CheckConstraint("pulses_per_unit > 0", name=op.f("ck_meters_constant")),
        sa.CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name=op.f("ck_meters_period")),
        _to(["eui"], ["modules.eui"], "fk_meters_eui"),
        _to(["point"], ["points.name"], "fk_meters_point"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meters")),
        sa.UniqueConstraint("eui", "channel", "valid_from", name=op.f("uq_meters_eui_channel_valid_from")),
    )
    op.create_index(op.f("ix_meters_point"), "meters", ["point"], unique=False)
    op.create_table(
        "balance_group_members",
        Column("owner", String(64), nullable=False),
        Column("position", sa.Integer(), autoincrement=False, nullable=False),
        Column("member", String(64), nullable=False),
        _to(["member"], ["points.name"], "fk_balance_group_members_member"),
        _to(["owner"], ["balance_groups.name"], "fk_balance_group_members_owner"),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_balance_group_members")),
    )
    op.create_index(op.f("ix_balance_group_members_member"), "balance_group_members", ["member"], unique=False)

    op.bulk_insert(
        sa.table("revisions", sa.column("kind", sa.String), sa.column("number", sa.BigInteger)),
        [{"kind": kind, "number": 0} for kind in ("site", "users", "audit")],
    )
    dialect = op.get_context().dialect.name
    for statement in APPEND_ONLY_SQLITE if dialect == "sqlite" else APPEND_ONLY_POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("there is nothing before the first revision; restore a backup instead")
