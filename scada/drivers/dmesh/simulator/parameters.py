"""Parameters of a simulated concentrator, and discovery: whom it takes up by itself, and for how long."""

from collections.abc import Callable
from typing import Final

import attrs

from scada.drivers.dmesh.messages import GetParam, Param, ParamMessage, Result, SetParam
from scada.drivers.dmesh.numbers import Code, Parameter

RANGES: Final = {
    Parameter.SERVER_PORT: (1, 65_535), Parameter.RADIO_CHANNEL: (0, 15), Parameter.RADIO_WINDOW_S: (10, 3600),
    Parameter.STATS_EVERY_S: (60, 86_400), Parameter.DISCOVER_ALWAYS: (0, 1),
}
TEXTS: Final = (Parameter.SERVER_HOST, Parameter.APN)
INTERVALS: Final = (3600,)              # what these modules measure in


@attrs.define
class Configuration:
    """As it comes from the factory of this simulator: it takes up whoever announces himself."""

    _real: Callable[[], float] = lambda: 0.0        # s, monotonic; whoever runs it sets it with `run_by`
    version: int = 1
    values: dict[int, int | str] = attrs.field(factory=lambda: {
        int(Parameter.INTERVAL_S): 3600, int(Parameter.RADIO_CHANNEL): 3, int(Parameter.RADIO_WINDOW_S): 60,
        int(Parameter.STATS_EVERY_S): 3600, int(Parameter.DISCOVER_ALWAYS): 1,
    })
    _until: float = float("-inf")
    _born: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._born = self._real()

    def run_by(self, real: Callable[[], float]) -> None:
        """Discovery and uptime are a matter of real time."""
        self._real = real
        self.restart()

    @property
    def uptime_s(self) -> int:
        return int(self._real() - self._born)

    def discover(self, duration_s: int) -> None:
        """Each request replaces the time left."""
        self._until = self._real() + duration_s if duration_s else float("-inf")

    def restart(self) -> None:
        """Discovery ends; parameters are durable."""
        self._until, self._born = float("-inf"), self._real()

    @property
    def discovers(self) -> bool:
        return self.values[Parameter.DISCOVER_ALWAYS] == 1 or self._real() < self._until

    def get(self, message: GetParam) -> ParamMessage | Result:
        """All of them are one page."""
        if message.page:
            return Result(int(Code.UNKNOWN))
        numbers = message.numbers or tuple(sorted(self.values))
        return self._told(tuple(one for one in numbers if one in self.values))

    def set(self, message: SetParam) -> ParamMessage | Result:
        """Whole, or not at all."""
        if message.base != self.version:
            return Result(int(Code.INTERLOCK))
        numbers = [one.number for one in message.params]
        for one in message.params:
            if numbers.count(one.number) > 1 or not _can_be(one):
                return Result(int(Code.BAD_ARGUMENT), text=f"parameter {one.number}")
        self.values |= {one.number: one.value for one in message.params}
        self.version += 1
        return self._told(tuple(numbers))

    def _told(self, numbers: tuple[int, ...]) -> ParamMessage:
        return ParamMessage(self.version, 0, 1, tuple(Param(one, self.values[one]) for one in numbers))


def _can_be(one: Param) -> bool:
    if one.number in TEXTS:
        return isinstance(one.value, str) and bool(one.value)
    if not isinstance(one.value, int):
        return False
    if one.number == Parameter.INTERVAL_S:
        return one.value in INTERVALS
    low, high = RANGES.get(one.number, (1, 0))  # type: ignore[call-overload]
    return bool(low <= one.value <= high)
