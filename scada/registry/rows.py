"""Values ↔ rows: reads a whole `Site`, and writes only what differs between two of them."""

from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select

from scada.registry import models
from scada.registry.kinds import KINDS, Kind
from scada.site import Site, differing

FEW = 500                               # things whose rows are looked up one by one; beyond it the table is read

TABLES: dict[str, Table] = {
    row.__tablename__: row.metadata.tables[row.__tablename__]
    for row in (
        models.TransformerRow, models.FeederRow, models.LinecodeRow, models.SectionRow, models.ConcentratorRow,
        models.ModuleRow, models.ConsumerRow,
        models.PointRow, models.MeterRow, models.LoadRow, models.LoadGroupRow, models.BalanceGroupRow,
        models.BalanceMemberRow, models.ReplacementRow, models.SupplyRow,
        models.MeterTermsRow,
    )
}
MEMBERS: dict[str, Table] = {
    "load_groups": models.Base.metadata.tables["load_group_members"],
    "balance_groups": models.Base.metadata.tables["balance_group_members"],
}


def load(connection: Connection) -> Site:
    """Everything the registry holds, in the order in which it was entered."""
    things: dict[str, Any] = {kind.name: _load_kind(connection, kind) for kind in KINDS}
    return Site(**things)


def _load_kind(connection: Connection, kind: Kind) -> tuple[Any, ...]:
    table = TABLES[kind.name]
    fields = [field for field in kind.forms if field in table.c]
    rows = connection.execute(select(*(table.c[field] for field in fields)).order_by(table.c.id)).all()
    if kind.name not in MEMBERS:
        return tuple(kind.cls(**dict(zip(fields, row, strict=True))) for row in rows)
    members: dict[str, list[Any]] = {}
    own = MEMBERS[kind.name]
    for owner, member in connection.execute(select(own.c.owner, own.c.member).order_by(own.c.owner, own.c.position)):
        members.setdefault(owner, []).append(member)
    values = (dict(zip(fields, row, strict=True)) for row in rows)
    return tuple(kind.cls(**one, members=tuple(members.get(one["name"], ()))) for one in values)


def save(connection: Connection, old: Site, new: Site) -> None:
    """Make the rows of `old` those of `new`. A changed row leaves and comes back under its `id`: names may swap."""
    for kind in KINDS:
        before, after = getattr(old, kind.name), getattr(new, kind.name)
        if before is not after:
            _save_kind(connection, kind, before, after)


def _save_kind(connection: Connection, kind: Kind, before: tuple[Any, ...], after: tuple[Any, ...]) -> None:
    pairs = differing(before, after)                        # what stands where it stood need not be looked at
    known = {kind.key_of(was): was for was, _ in pairs if was is not None}
    wanted = {kind.key_of(now): now for _, now in pairs if now is not None}
    leaving = [thing for key, thing in known.items() if wanted.get(key) != thing]
    coming = [thing for key, thing in wanted.items() if known.get(key) != thing]
    ids = _ids(connection, kind, leaving) if leaving else {}
    if leaving:
        _delete(connection, kind, leaving)
    if coming:
        last = connection.execute(select(func.coalesce(func.max(TABLES[kind.name].c.id), 0))).scalar_one()
        free = iter(range(max(last, *ids.values(), 0) + 1 if ids else last + 1, 2**31))
        _insert(connection, kind, [(ids.get(kind.key_of(thing)) or next(free), thing) for thing in coming])


def _ids(connection: Connection, kind: Kind, things: list[Any]) -> dict[Any, int]:
    """Row ids by key, of some things at least."""
    table = TABLES[kind.name]
    wanted = select(table.c.id, *(table.c[field] for field in kind.key))
    if len(things) <= FEW:
        wanted = wanted.where(table.c[kind.key[0]].in_([getattr(thing, kind.key[0]) for thing in things]))
    rows = connection.execute(wanted)
    return {row[1] if len(kind.key) == 1 else tuple(row[1:]): row[0] for row in rows}


def _delete(connection: Connection, kind: Kind, things: list[Any]) -> None:
    table = TABLES[kind.name]
    # Parameters must not be called like columns: SQLAlchemy would take them for values to set.
    matching = (table.c[field] == bindparam(f"key_{field}", type_=table.c[field].type) for field in kind.key)
    parameters = [{f"key_{field}": getattr(thing, field) for field in kind.key} for thing in things]
    connection.execute(delete(table).where(*matching), parameters)
    if (own := MEMBERS.get(kind.name)) is not None:
        connection.execute(delete(own).where(own.c.owner == bindparam("key")), [{"key": thing.name} for thing in things])


def _insert(connection: Connection, kind: Kind, things: list[tuple[int, Any]]) -> None:
    table = TABLES[kind.name]
    fields = [field for field in kind.forms if field in table.c]
    values, names = attrgetter(*fields), ("id", *fields)     # every kind has more than one field
    rows = [dict(zip(names, (number, *values(thing)), strict=True)) for number, thing in things]
    connection.execute(insert(table), rows)
    if (own := MEMBERS.get(kind.name)) is not None:
        members = [
            {"owner": thing.name, "position": position, "member": member}
            for _, thing in things
            for position, member in enumerate(thing.members)
        ]
        if members:
            connection.execute(insert(own), members)
