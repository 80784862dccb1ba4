"""Readings of dials in the registry's database: append-only; of one point and instant the later row counts. Blocking."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, func, insert, select

from scada.clock import HOUR_S, NS
from scada.commands import Actor, Role
from scada.dial import DialOutcome, DialReading, DialSource, Installation, Shown
from scada.errors import CommandRejected
from scada.registry.audit import AuditTrail, append
from scada.registry.models import Base, DialRow
from scada.registry.schema import reading, writing
from scada.site import MeterPeriod

MOST_AT_ONCE: Final = 100_000           # readings of one file
MOST_REASONS: Final = 1000
CHUNK: Final = 500                      # points asked for in one statement
MAY_ENTER: Final = frozenset({Role.INSTALLER, Role.ENGINEER, Role.INTEGRATOR, Role.ADMINISTRATOR})
_dials: Final = Base.metadata.tables[DialRow.__tablename__]


class DialBook:
    """Thread-safe; implements `ports.DialStore`."""

    def __init__(self, engine: Callable[[], Engine], audit: AuditTrail) -> None:
        self._engine, self._audit = engine, audit

    def newest(self) -> int:
        """Number of the newest reading; 0 while there is none."""
        with reading(self._engine()) as connection:
            return connection.execute(select(func.max(_dials.c.number))).scalar() or 0

    def after(self, number: int, size: int = MOST_AT_ONCE) -> tuple[DialReading, ...]:
        """Readings above a number, in their order."""
        asked = select(_dials).where(_dials.c.number > number).order_by(_dials.c.number).limit(size)
        with reading(self._engine()) as connection:
            return tuple(map(_reading, connection.execute(asked)))

    def of_point(self, point: str, size: int = 50) -> tuple[DialReading, ...]:
        """Of one point, newest first, corrected ones once."""
        newest_first = (_dials.c.at.desc(), _dials.c.number.desc())
        asked = select(_dials).where(_dials.c.point == point).order_by(*newest_first).limit(size)
        with reading(self._engine()) as connection:
            return tuple({row.at: _reading(row) for row in reversed(connection.execute(asked).all())}.values())[::-1]

    def recent(self, size: int = 50) -> tuple[DialReading, ...]:
        """Installations, newest first."""
        asked = select(_dials).where(_dials.c.source == DialSource.INSTALLER).order_by(_dials.c.number.desc()).limit(size)
        with reading(self._engine()) as connection:
            return tuple(map(_reading, connection.execute(asked)))

    def of_key(self, key: str) -> DialReading | None:
        """Of the installation with this key."""
        with reading(self._engine()) as connection:
            row = connection.execute(select(_dials).where(_dials.c.key == key)).first()
        return None if row is None else _reading(row)

    def add(self, actor: Actor, readings: Sequence[DialReading], *, correct: bool = False) -> DialOutcome:
        """Enter readings, all or none; raises `CommandRejected` with every reason.

        One that is held with the same value is known; another value at the same instant is refused, or with `correct`
        takes its place (the row that it replaces is kept).
        """
        reasons = [] if actor.role in MAY_ENTER else [f"a {actor.role} may not enter dial readings; an engineer may"]
        if len(readings) > MOST_AT_ONCE:
            reasons.append(f"{len(readings)} dial readings: at most {MOST_AT_ONCE} at once")
        if reasons:
            raise CommandRejected(reasons)
        with writing(self._engine()) as connection:
            held = _held(connection, {one.point for one in readings})
            new: list[DialReading] = []
            for one in readings:
                was = held.get((one.point, one.at))
                if was == one.shown.value:
                    continue
                if was is not None and not correct:
                    reasons.append(f"{one.point} has the reading {was:g} of that instant already, not {one.shown.value:g}")
                held[one.point, one.at] = one.shown.value
                new.append(one)
            if reasons:
                raise CommandRejected(reasons[:MOST_REASONS])
            put(connection, new)
            points = sorted({one.point for one in new})
            if new:
                append(connection, [self._audit.note(
                    actor, "dial.read", points[0] if len(points) == 1 else f"{len(points)} points", readings=len(new),
                    corrected=correct, source=new[0].source, value=new[0].shown.value if len(new) == 1 else None,
                )])
        return DialOutcome(len(new), len(readings) - len(new))


def put(connection: Connection, readings: Iterable[DialReading]) -> None:
    """Add rows within a transaction."""
    rows = [
        {
            "point": one.point, "serial": one.serial, "at": one.at, "value": one.shown.value, "whole": one.shown.whole,
            "decimals": one.shown.decimals, "source": one.source, "by": one.by, "photo": one.photo, "key": one.key or None,
        }
        for one in readings
    ]
    if rows:
        connection.execute(insert(_dials), rows)


def enter(
    connection: Connection, audit: AuditTrail, actor: Actor, wish: Installation, period: MeterPeriod, said: DialReading
) -> None:
    """The reading of an installation and its audit, within its transaction; raises `CommandRejected`."""
    if was_installed(connection, said.point, period.valid_from * HOUR_S * NS):
        raise CommandRejected([f"the dial of meter {said.serial} at {said.point} was read at its installation already"])
    put(connection, [said])
    append(connection, [audit.note(
        actor, "meter.install", f"{wish.eui:016X}", channel=wish.channel, point=said.point, serial=said.serial,
        pulses_per_unit=wish.pulses_per_unit, dial=wish.dial.value, dial_at=wish.at // NS, photo=wish.photo,
    )])


def was_installed(connection: Connection, point: str, since: int) -> bool:
    """Whether a meter was put into service at a point at or after an instant. [ns]"""
    by_installer = _dials.c.source == DialSource.INSTALLER
    asked = select(_dials.c.number).where(_dials.c.point == point, _dials.c.at >= since, by_installer).limit(1)
    return connection.execute(asked).first() is not None


def _held(connection: Connection, points: set[str]) -> dict[tuple[str, int], float]:
    found: dict[tuple[str, int], float] = {}
    names = sorted(points)
    for start in range(0, len(names), CHUNK):
        asked = select(_dials.c.point, _dials.c.at, _dials.c.value).where(_dials.c.point.in_(names[start:start + CHUNK]))
        for point, at, value in connection.execute(asked.order_by(_dials.c.number)):
            found[point, at] = value
    return found


def _reading(row: Row[Any]) -> DialReading:
    shown = Shown(row.value, row.whole, row.decimals)
    return DialReading(row.point, row.serial, row.at, shown, row.source, row.by, row.photo, row.key or "", row.number)
