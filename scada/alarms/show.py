"""Shows the book on the bus: counts, and a device per source, a few in each turn of the loop."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.alarms.book import Book
from scada.alarms.tags import SUMMARY, device_of, of_source, source_device, summary
from scada.clock import SiteClock
from scada.ports import Alarm, TagSink
from scada.tags import Batch, Quality

PER_TURN: Final = 50                    # sources published in one turn: a flood must not hold the loop


class Display:
    """Publishes what changed, at the next turn of the loop; a source that changed twice meanwhile is shown once."""

    def __init__(self, sink: TagSink, clock: SiteClock, reactor: Any) -> None:
        self._sink, self._clock, self._reactor = sink, clock, reactor
        self._book = Book()
        self._known: set[str] = set()
        self._changed: dict[str, str] = {}                 # source device -> area
        self._call: Any = None

    def start(self, book: Book) -> None:
        self._book = book
        self._sink.add_device(SUMMARY)
        for alarm in book.active():
            self._changed[source_device(alarm)] = alarm.area
        self._flush()

    def stop(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def changed(self, alarm: Alarm) -> None:
        self._changed[source_device(alarm)] = alarm.area
        if self._call is None:
            self._call = self._reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        self._call = None
        sources = list(self._changed)[:PER_TURN]
        of_these: dict[str, list[Alarm]] = {source: [] for source in sources}
        for alarm in self._book.active():
            if (source := source_device(alarm)) in of_these:
                of_these[source].append(alarm)
        for source, alarms in of_these.items():
            area = self._changed.pop(source)
            device = device_of(source, area)
            if source not in self._known:
                self._known.add(source)
                self._sink.add_device(device)
            self._publish(device.name, of_source(alarms))
        if self._changed:
            self._call = self._reactor.callLater(0, self._flush)
        else:
            self._publish(SUMMARY.name, summary(self._book.active()))

    def _publish(self, name: str, values: NDArray[np.float64]) -> None:
        now = self._clock.now()
        self._sink.publish(Batch(name, values, np.full(len(values), Quality.GOOD, dtype=np.uint8), now, now))
