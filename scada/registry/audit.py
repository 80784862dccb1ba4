"""The audit: append-only, each row's digest covering the row before, so that a change afterwards is found."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final

import attrs
from sqlalchemy import Connection, Engine, func, insert, select, update

from scada.commands import Actor
from scada.ports import AuditRow
from scada.registry.models import AuditEntry, Base, RevisionRow
from scada.registry.schema import reading, writing

FIRST: Final = "0" * 64                 # what the first row is chained to
MAX_DETAIL: Final = 8192                # characters of JSON; longer is cut, and says so
SECRET: Final = ("password", "secret", "token", "hash", "private", "passphrase")
_audit: Final = Base.metadata.tables[AuditEntry.__tablename__]
_revisions: Final = Base.metadata.tables[RevisionRow.__tablename__]


@attrs.frozen
class Note:
    """One thing to be audited, with the real time at which it happened."""

    at: int                             # ns, real UTC time
    actor: str
    origin: str
    action: str
    target: str
    detail: str


def note(actor: Actor, action: str, target: str, detail: Mapping[str, Any], at: int | None = None) -> Note:
    """Texts may come from anybody (a log-in name): they are cut, and made fit to be stored; secrets are masked."""
    return Note(
        at=time.time_ns() if at is None else at,
        actor=_clean(actor.name, 200), origin=actor.origin.value, action=_clean(action, 64), target=_clean(target, 200),
        detail=_json(detail),
    )


def digest(before: str, number: int, one: Note) -> str:
    """SHA-256 over the digest before and the row as canonical JSON, in hex."""
    row = [number, one.at, one.actor, one.origin, one.action, one.target, one.detail]
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(bytes.fromhex(before) + text.encode()).hexdigest()


def append(connection: Connection, notes: Iterable[Note]) -> None:
    """Add rows within the transaction of what they tell about: both become durable, or neither."""
    # Taken first, so that writers of other processes queue here (PostgreSQL; in SQLite they queue at BEGIN).
    held = select(_revisions.c.number).where(_revisions.c.kind == "audit").with_for_update()
    number = connection.execute(held).scalar_one()
    last = connection.execute(select(_audit.c.digest).order_by(_audit.c.number.desc()).limit(1)).scalar()
    rows = []
    for one in notes:
        number += 1
        last = digest(last or FIRST, number, one)
        rows.append({"number": number, **attrs.asdict(one), "digest": last})
    if rows:
        connection.execute(insert(_audit), rows)
        connection.execute(update(_revisions).where(_revisions.c.kind == "audit").values(number=number))


class AuditTrail:
    """The audit of one database; every method blocks and is thread-safe."""

    def __init__(self, engine: Callable[[], Engine], now: Callable[[], int] = time.time_ns) -> None:
        self._engine, self._now = engine, now

    def note(self, actor: Actor, action: str, target: str = "", **detail: Any) -> Note:
        """What happened just now, to be appended later."""
        return note(actor, action, target, detail, self._now())

    def append_now(self, actor: Actor, action: str, target: str = "", **detail: Any) -> None:
        self.write([self.note(actor, action, target, **detail)])

    def write(self, notes: Iterable[Note]) -> None:
        """Append several rows in one transaction."""
        with writing(self._engine()) as connection:
            append(connection, notes)

    def page(self, before: int | None = None, size: int = 50, action: str = "") -> tuple[AuditRow, ...]:
        asked = select(_audit).order_by(_audit.c.number.desc()).limit(size)
        if before is not None:
            asked = asked.where(_audit.c.number < before)
        if action:
            asked = asked.where(_audit.c.action == action)
        with reading(self._engine()) as connection:
            return tuple(AuditRow(**row._mapping) for row in connection.execute(asked))

    def count(self) -> int:
        with reading(self._engine()) as connection:
            return connection.execute(select(func.count()).select_from(_audit)).scalar_one()

    def verify(self) -> int | None:
        """Number of the first row that does not follow from the one before, or that is missing; None if all hold."""
        expected, last = 1, FIRST
        with reading(self._engine()) as connection:
            rows = connection.execution_options(yield_per=1000).execute(select(_audit).order_by(_audit.c.number))
            for row in rows:
                values = dict(row._mapping)
                number, found = values.pop("number"), values.pop("digest")
                if number != expected or found != digest(last, number, Note(**values)):
                    return expected
                expected, last = number + 1, found
            written = connection.execute(select(_revisions.c.number).where(_revisions.c.kind == "audit")).scalar_one()
        return expected if written >= expected else None


def _clean(text: str, longest: int) -> str:
    """Text that every database takes: no lone surrogates, no NUL, not too long."""
    kept = text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    return kept if len(kept) <= longest else kept[: longest - 1] + "…"


def _json(detail: Mapping[str, Any]) -> str:
    def dumps(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)

    text = _clean(dumps(_plain(detail)), 10 * MAX_DETAIL)
    return text if len(text) <= MAX_DETAIL else dumps({"cut": text[:MAX_DETAIL // 2]})


def _plain(value: Any) -> Any:
    """A value as JSON has it; what must never be written down is masked by its name."""
    match value:
        case Enum():
            return value.name.lower()
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {
                str(key): "***" if any(word in str(key).lower() for word in SECRET) else _plain(one)
                for key, one in value.items()
            }
        case list() | tuple() | set() | frozenset():
            return [_plain(one) for one in value]
    return str(value)
