"""Reading on demand in the simulated subnet: questions go down the tree, registers come up, each when the radio lets it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import numpy as np

from scada.drivers.dmesh import sets
from scada.drivers.dmesh.messages import Reading, ReadNow, ReadResult
from scada.drivers.dmesh.numbers import Code
from scada.drivers.dmesh.simulator.mesh import Mesh

WHOLE_MODULE: Final = 255
REPEAT_S: Final = 60.0                  # between two questions to a module that has not answered, site time
COALESCE_S: Final = 2.0                 # what comes in so close together goes up in one part, site time
LOOK_S: Final = 30.0                    # after which the concentrator is sure that nobody hears a module, site time
REMEMBERED_S: Final = 3600.0            # after the deadline
UNDER_WAY: Final = 4                    # reads at once
BUSY_S: Final = 30                      # when to ask again, real time
READING_BYTES: Final = 40


@attrs.define(eq=False)
class Read:
    """One read and its parts; `wanted` are the modules without a result so far."""

    order: ReadNow
    wanted: set[int]
    ready: list[Reading] = attrs.field(factory=list)    # not in a part yet
    parts: list[ReadResult] = attrs.field(factory=list)
    flush_due: bool = False
    acknowledged: bool = False

    @property
    def final(self) -> bool:
        return bool(self.parts) and self.parts[-1].final


class Reads:
    """
    All reads of one subnet. Times are site time. [s since 1970]

    Parameters
    ----------
    channels
        Number of channels of the modules that are there, by subnet index.
    register
        Pulses that a channel has counted up to now, by subnet index and channel; None while nothing is known.
    at
        Lets something happen at a time.
    tell
        Hears of every part as it is ready.
    """

    def __init__(
        self,
        channels: Callable[[], Mapping[int, int]],
        mesh: Mesh,
        rng: np.random.Generator,
        is_reachable: Callable[[int, float], bool],
        register: Callable[[int, int], int | None],
        at: Callable[[float, Callable[[float], None]], None],
        tell: Callable[[ReadResult], None],
        max_body: int,
    ) -> None:
        self._channels, self._mesh, self._rng, self._is_reachable = channels, mesh, rng, is_reachable
        self._register, self._at, self._tell = register, at, tell
        self._most = max(1, max_body // READING_BYTES)
        self._place = {int(index): number for number, index in enumerate(mesh.index)}
        self._reads: dict[bytes, Read] = {}
        self.started = 0                    # reads that went out by radio: a repeated order is none

    def take(self, order: ReadNow, now: float) -> tuple[Code, int]:
        """Begin, or say why not (and when to ask again); a read id that was heard before starts nothing."""
        self._forget(now)
        known = self._reads.get(order.read_id)
        if known is not None:
            self._at(now, lambda at: self._tell_all(known))         # after the RESULT
            return Code.DUPLICATE, 0
        indices = sets.indices(order.modules)
        if not indices:
            return Code.BAD_ARGUMENT, 0
        if now >= order.deadline:
            return Code.EXPIRED, 0
        if sum(not one.final for one in self._reads.values()) >= UNDER_WAY:
            return Code.BUSY, BUSY_S
        read = Read(order, set(indices))
        self._reads[order.read_id] = read
        self.started += 1
        for index in set(indices) - set(self._channels()):
            self._without(read, index, Code.UNKNOWN, now)
        self._question(read, now)
        self._at(float(order.deadline), lambda at: self._over(read, at))
        return Code.ACCEPTED, 0

    def _tell_all(self, read: Read) -> None:
        for part in read.parts:
            self._tell(part)

    def owed(self) -> tuple[ReadResult, ...]:
        """Everything that the server has not acknowledged, for a new session."""
        return tuple(part for read in self._reads.values() if not read.acknowledged for part in read.parts)

    def taken(self, result: ReadResult) -> None:
        """The server has answered the final part."""
        if (read := self._reads.get(result.read_id)) is not None:
            read.acknowledged = True

    # ------------------------------------------------------------------- by radio
    def _question(self, read: Read, now: float) -> None:
        """One way down and one up for everybody who has not answered; then again, until the deadline."""
        if read.final or now >= read.order.deadline:
            return
        down, up = self._mesh.draw_latency(self._rng), self._mesh.draw_latency(self._rng)
        for index in sorted(read.wanted & set(self._channels())):
            place = self._place[index]
            if not self._is_reachable(index, now):
                self._at(now + LOOK_S, self._unless_answered(read, index))
            elif np.isfinite(down[place]):
                self._at(now + float(down[place]), self._hears(read, index, float(up[place])))
        self._at(now + REPEAT_S, lambda at: self._question(read, at))

    def _hears(self, read: Read, index: int, up: float) -> Callable[[float], None]:
        def heard(at: float) -> None:
            """The module reads its registers at this moment; what it says may be lost on its way."""
            if not np.isfinite(up) or not self._is_reachable(index, at):
                return
            readings = []
            for channel in range(self._channels().get(index, 0)):
                pulses = self._register(index, channel)
                code = Code.OK if pulses is not None else Code.UNKNOWN
                readings.append(Reading(index, channel, int(code), (pulses or 0) % 2**32, int(at)))
            readings = readings or [Reading(index, WHOLE_MODULE, int(Code.UNKNOWN), time=int(at))]
            self._at(at + up, lambda arrived: self._arrives(read, index, readings, arrived))

        return heard

    def _unless_answered(self, read: Read, index: int) -> Callable[[float], None]:
        return lambda at: self._without(read, index, Code.NO_ROUTE, at)

    def _without(self, read: Read, index: int, code: Code, now: float) -> None:
        self._arrives(read, index, [Reading(index, WHOLE_MODULE, int(code), time=int(now))], now)

    def _arrives(self, read: Read, index: int, readings: list[Reading], now: float) -> None:
        if index not in read.wanted or read.final:
            return
        read.wanted.discard(index)
        read.ready += readings
        if not read.flush_due:
            read.flush_due = True
            self._at(now + COALESCE_S, lambda at: self._flush(read))

    def _flush(self, read: Read, *, over: bool = False) -> None:
        read.flush_due = False
        if read.final:
            return
        end = over or not read.wanted
        chunks: list[Any] = [read.ready[at : at + self._most] for at in range(0, len(read.ready), self._most)]
        read.ready = []
        for place, chunk in enumerate(chunks or ([[]] if end else [])):
            final = end and place == max(len(chunks) - 1, 0)
            part = ReadResult(read.order.read_id, len(read.parts), tuple(chunk), final)
            read.parts.append(part)
            self._tell(part)

    def _over(self, read: Read, now: float) -> None:
        """The deadline: whoever has not answered did not answer in time."""
        if read.final:
            return
        for index in sorted(read.wanted):
            read.ready.append(Reading(index, WHOLE_MODULE, int(Code.TIMEOUT), time=int(now)))
        read.wanted.clear()
        self._flush(read, over=True)

    def _forget(self, now: float) -> None:
        for read_id in [one for one, read in self._reads.items() if now > read.order.deadline + REMEMBERED_S]:
            del self._reads[read_id]
