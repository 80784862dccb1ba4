"""The registry's tables. A row has the fields of the value it keeps (`scada.site`), and `id`, which keeps their order.

Foreign keys refer to what people see (names, EUIs) and are checked at commit: so a changed row may be deleted and
entered again under its `id` within one transaction, and two modules may swap names.
"""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Double, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from scada.commands import LoadClass, Role
from scada.dial import DialSource
from scada.registry.columns import NAME_LENGTH, TEXT_LENGTH, Hex, Numbers, Reference, named
from scada.site import Adoption, GroupKind, Medium, MemberRole, ModuleState, SupplyKind

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


def _id() -> Mapped[int]:
    return mapped_column(Integer, primary_key=True, autoincrement=False)


def _name() -> Mapped[str]:
    return mapped_column(String(NAME_LENGTH), unique=True)


def _text() -> Mapped[str]:
    return mapped_column(String(TEXT_LENGTH))


def _added(default: str) -> Mapped[str]:
    """Text of a column that came later: rows that were there have the default."""
    return mapped_column(String(TEXT_LENGTH), server_default=default)


def _to(target: str) -> ForeignKey:
    return ForeignKey(target, deferrable=True, initially="DEFERRED")


def _refers(target: str) -> Mapped[str]:
    return mapped_column(Reference(), _to(target), index=True, nullable=True)


def _module(**options: Any) -> Mapped[int]:
    return mapped_column(Hex(16), _to("modules.eui"), **options)


class TransformerRow(Base):
    __tablename__ = "transformers"
    __table_args__ = (CheckConstraint("rated_kva > 0", name="rated"),)
    id: Mapped[int] = _id()
    name: Mapped[str] = _name()
    title: Mapped[str] = _text()
    rated_kva: Mapped[float] = mapped_column(Double)
    area: Mapped[str] = _text()
    meter: Mapped[str] = _text()
    uk_percent: Mapped[float | None] = mapped_column(Double)
    load_loss_kw: Mapped[float | None] = mapped_column(Double)
    no_load_loss_kw: Mapped[float | None] = mapped_column(Double)
    vector_group: Mapped[str] = _added("")
    root: Mapped[str] = _added("")
    form_alone: Mapped[float | None] = mapped_column(Double)
    form_together: Mapped[float | None] = mapped_column(Double)
    form_alike: Mapped[float | None] = mapped_column(Double)
    form_doubt: Mapped[float | None] = mapped_column(Double)
    form_minutes: Mapped[int] = mapped_column(Integer, server_default="60")
    form_source: Mapped[str] = _added("")
    no_load_v: Mapped[float] = mapped_column(Double, server_default="400")


class FeederRow(Base):
    __tablename__ = "feeders"
    id: Mapped[int] = _id()
    name: Mapped[str] = _name()
    transformer: Mapped[str] = mapped_column(String(NAME_LENGTH), _to("transformers.name"), index=True)
    title: Mapped[str] = _text()


class LinecodeRow(Base):
    __tablename__ = "linecodes"
    id: Mapped[int] = _id()
    name: Mapped[str] = _name()
    r_phase: Mapped[float] = mapped_column(Double)
    x_phase: Mapped[float] = mapped_column(Double)
    r_neutral: Mapped[float] = mapped_column(Double)
    x_neutral: Mapped[float] = mapped_column(Double)


class SectionRow(Base):
    __tablename__ = "sections"
    __table_args__ = (CheckConstraint("length_m >= 0", name="length"),)
    id: Mapped[int] = _id()
    name: Mapped[str] = _name()
    feeder: Mapped[str] = mapped_column(String(NAME_LENGTH), _to("feeders.name"), index=True)
    from_node: Mapped[str] = _text()
    to_node: Mapped[str] = _text()
    length_m: Mapped[float] = mapped_column(Double)
    linecode: Mapped[str] = _refers("linecodes.name")
    r_phase: Mapped[float | None] = mapped_column(Double)
    x_phase: Mapped[float | None] = mapped_column(Double)
    r_neutral: Mapped[float | None] = mapped_column(Double)
    x_neutral: Mapped[float | None] = mapped_column(Double)


class ConcentratorRow(Base):
    __tablename__ = "concentrators"
    id: Mapped[int] = _id()
    name: Mapped[str] = _name()
    link_id: Mapped[int] = mapped_column(Hex(8), unique=True)
    title: Mapped[str] = _text()
    area: Mapped[str] = _text()
    transformer: Mapped[str] = _refers("transformers.name")
    adoption: Mapped[Adoption] = mapped_column(named(Adoption))


class ModuleRow(Base):
    __tablename__ = "modules"
    __table_args__ = (CheckConstraint('"index" BETWEEN 0 AND 240', name="index"),)
    id: Mapped[int] = _id()
    eui: Mapped[int] = mapped_column(Hex(16), unique=True)
    name: Mapped[str] = _name()
    concentrator: Mapped[str] = mapped_column(String(NAME_LENGTH), _to("concentrators.name"))
    index: Mapped[int] = mapped_column(Integer)
    state: Mapped[ModuleState] = mapped_column(named(ModuleState))
    channels: Mapped[int] = mapped_column(Integer)
    adapter: Mapped[str] = _text()
    building: Mapped[str] = _text()
    title: Mapped[str] = _text()


# Index 0 means "none now"; only real subnet indices must differ within a concentrator.
Index(
    "uq_modules_concentrator_index", ModuleRow.concentrator, ModuleRow.index, unique=True,
    sqlite_where=ModuleRow.index > 0, postgresql_where=ModuleRow.index > 0,
)


class ConsumerRow(Base):
    __tablename__ = "consumers"
    id: Mapped[int] = _id()
    name: Mapped[str] = _name()
    title: Mapped[str] = _text()
    phases: Mapped[str] = mapped_column(String(8))
    feeder: Mapped[str] = _refers("feeders.name")
    building: Mapped[str] = _text()
    protected: Mapped[bool]
    contract_kw: Mapped[float | None] = mapped_column(Double)


class PointRow(Base):
    __tablename__ = "points"
    id: Mapped[int] = _id()
    name: Mapped[str] = _name()
    medium: Mapped[Medium] = mapped_column(named(Medium))
    consumer: Mapped[str] = _refers("consumers.name")
    title: Mapped[str] = _text()
    node: Mapped[str] = _added("")
    power_factor: Mapped[float] = mapped_column(Double, server_default="1")
    sub_meter_of: Mapped[str] = _refers("points.name")


class MeterRow(Base):
    """A meter while it is installed at a point, on a channel. That periods do not overlap is checked in `checks`."""

    __tablename__ = "meters"
    __table_args__ = (
        Unique("eui", "channel", "valid_from"),
        CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="period"),
        CheckConstraint("pulses_per_unit > 0", name="constant"),
        CheckConstraint("accuracy_class > 0", name="class"),
    )
    id: Mapped[int] = _id()
    serial: Mapped[str] = _text()
    point: Mapped[str] = mapped_column(String(NAME_LENGTH), _to("points.name"), index=True)
    eui: Mapped[int] = _module()
    channel: Mapped[int] = mapped_column(Integer)
    pulses_per_unit: Mapped[float] = mapped_column(Double)
    valid_from: Mapped[int] = mapped_column(Integer)
    valid_to: Mapped[int | None] = mapped_column(Integer)
    start_register: Mapped[float | None] = mapped_column(Double)
    final_register: Mapped[float | None] = mapped_column(Double)
    accuracy_class: Mapped[float] = mapped_column(Double)
    verified: Mapped[str] = _added("")


class LoadRow(Base):
    __tablename__ = "loads"
    id: Mapped[int] = _id()
    eui: Mapped[int] = _module(unique=True)
    load_class: Mapped[LoadClass] = mapped_column(named(LoadClass))
    title: Mapped[str] = _text()
    consumer: Mapped[str] = _refers("consumers.name")
    rated_w: Mapped[float] = mapped_column(Double)
    never: Mapped[bool]
    manual_restore: Mapped[bool]


class SupplyRow(Base):
    __tablename__ = "supplies"
    id: Mapped[int] = _id()
    point: Mapped[str] = mapped_column(String(NAME_LENGTH), _to("points.name"), unique=True)
    eui: Mapped[int] = _module(unique=True)
    kind: Mapped[SupplyKind] = mapped_column(named(SupplyKind))
    title: Mapped[str] = _text()


class LoadGroupRow(Base):
    __tablename__ = "load_groups"
    __table_args__ = (CheckConstraint("number BETWEEN 1 AND 255", name="number"),)
    id: Mapped[int] = _id()
    name: Mapped[str] = _name()
    number: Mapped[int] = mapped_column(Integer, unique=True)
    load_class: Mapped[LoadClass] = mapped_column(named(LoadClass))
    title: Mapped[str] = _text()
    area: Mapped[str] = _text()
    epoch: Mapped[int] = mapped_column(BigInteger)
    max_off_s: Mapped[int] = mapped_column(Integer)
    min_on_s: Mapped[int] = mapped_column(Integer)


class LoadGroupMemberRow(Base):
    __tablename__ = "load_group_members"
    owner: Mapped[str] = mapped_column(String(NAME_LENGTH), _to("load_groups.name"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    member: Mapped[int] = mapped_column(Hex(16), _to("loads.eui"), index=True)


class BalanceGroupRow(Base):
    __tablename__ = "balance_groups"
    __table_args__ = (CheckConstraint("normal_loss BETWEEN 0 AND 1", name="loss"),)
    id: Mapped[int] = _id()
    name: Mapped[str] = _name()
    medium: Mapped[Medium] = mapped_column(named(Medium))
    title: Mapped[str] = _text()
    transformer: Mapped[str] = _refers("transformers.name")
    feed_tag: Mapped[str] = _text()
    feed_point: Mapped[str] = _refers("points.name")
    normal_loss: Mapped[float | None] = mapped_column(Double)
    limit_percent: Mapped[float | None] = mapped_column(Double)
    kind: Mapped[GroupKind] = mapped_column(named(GroupKind))
    metering_w: Mapped[float] = mapped_column(Double)
    metering_w_each: Mapped[float] = mapped_column(Double)


class BalanceGroupMemberRow(Base):
    """A metering point or a balance group; which, and that it is there, is checked in `checks`."""

    __tablename__ = "balance_group_members"
    owner: Mapped[str] = mapped_column(String(NAME_LENGTH), _to("balance_groups.name"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    member: Mapped[str] = mapped_column(String(NAME_LENGTH), index=True)


class BalanceMemberRow(Base):
    __tablename__ = "balance_members"
    __table_args__ = (
        Unique("group", "member", "valid_from"),
        CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="period"),
    )
    id: Mapped[int] = _id()
    group: Mapped[str] = mapped_column(String(NAME_LENGTH), _to("balance_groups.name"))
    member: Mapped[str] = mapped_column(String(NAME_LENGTH), index=True)
    valid_from: Mapped[int] = mapped_column(Integer)
    valid_to: Mapped[int | None] = mapped_column(Integer)
    role: Mapped[MemberRole] = mapped_column(named(MemberRole))


class ReplacementRow(Base):
    __tablename__ = "replacements"
    id: Mapped[int] = _id()
    eui: Mapped[int] = _module(unique=True)
    heir: Mapped[int] = _module(index=True)
    hour: Mapped[int] = mapped_column(Integer)


class MeterTermsRow(Base):
    __tablename__ = "meter_terms"
    id: Mapped[int] = _id()
    medium: Mapped[Medium] = mapped_column(named(Medium), unique=True)
    tariff: Mapped[float] = mapped_column(Double)
    verification: Mapped[float] = mapped_column(Double)
    replacement: Mapped[float] = mapped_column(Double)
    lost: Mapped[float] = mapped_column(Double)
    noticed: Mapped[float] = mapped_column(Double)
    drift: Mapped[float] = mapped_column(Double)
    ages: Mapped[tuple[float, ...]] = mapped_column(Numbers())
    rates: Mapped[tuple[float, ...]] = mapped_column(Numbers())


class DialRow(Base):
    """A reading of a meter's dial: append-only, the later row of a point and instant counts. It outlives its point."""

    __tablename__ = "dial_readings"
    __table_args__ = (Index("ix_dial_readings_point_at", "point", "at"), CheckConstraint("value >= 0", name="value"))
    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    point: Mapped[str] = mapped_column(String(NAME_LENGTH))
    serial: Mapped[str] = _text()
    at: Mapped[int] = mapped_column(BigInteger)
    value: Mapped[float] = mapped_column(Double)
    whole: Mapped[int] = mapped_column(Integer)
    decimals: Mapped[int] = mapped_column(Integer)
    source: Mapped[DialSource] = mapped_column(named(DialSource), index=True)
    by: Mapped[str] = _text()
    photo: Mapped[str] = mapped_column(String(NAME_LENGTH))
    key: Mapped[str | None] = mapped_column(String(NAME_LENGTH), unique=True)


class RevisionRow(Base):
    """One counter each for `site`, `users` and `audit`: other processes see a change by it, writers queue at it."""

    __tablename__ = "revisions"
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)


class UserRow(Base):
    __tablename__ = "users"
    name: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    password_hash: Mapped[str] = _text()
    role: Mapped[Role] = mapped_column(named(Role))
    language: Mapped[str] = mapped_column(String(8))
    disabled: Mapped[bool]
    must_change: Mapped[bool]


class UserAreaRow(Base):
    __tablename__ = "user_areas"
    user: Mapped[str] = mapped_column(
        String(NAME_LENGTH), ForeignKey("users.name", ondelete="CASCADE"), primary_key=True
    )
    area: Mapped[str] = mapped_column(String(TEXT_LENGTH), primary_key=True)


class AuditEntry(Base):
    """Append-only: triggers (migration 0001) abort every UPDATE and DELETE; each digest covers the one before."""

    __tablename__ = "audit"
    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False)
    at: Mapped[int] = mapped_column(BigInteger)
    actor: Mapped[str] = _text()
    origin: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(NAME_LENGTH), index=True)
    target: Mapped[str] = _text()
    detail: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))
