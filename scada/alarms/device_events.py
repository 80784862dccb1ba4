"""What a device's event does to the book."""

from scada.alarms.book import Book, Condition
from scada.alarms.kinds import MOMENTARY
from scada.events import DeviceEvent, kind_of, source_of
from scada.ports import Alarm


def taken(book: Book, event: DeviceEvent, area: str, now: int) -> list[Alarm]:
    """Enter an event of a device in `area`; returns the alarms it changed. `now` is site time. [ns]"""
    condition = Condition(source_of(event), kind_of(event.code), area=area, detail=event.detail)
    changes = []
    if event.raised:
        changes.append(book.raised(condition, now, event.at if event.time_good else None))
    if not event.raised or event.code in MOMENTARY:
        changes.append(book.cleared(condition.id, now))
    return [alarm for alarm in changes if alarm is not None]
