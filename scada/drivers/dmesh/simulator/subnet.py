"""What a concentrator's state and its session both speak of: a module, and who is told of news."""

from typing import Final

import attrs

from scada.drivers.dmesh.messages import CommandReport, Message, ReadResult, Sample
from scada.drivers.dmesh.simulator.actuator import Actuator
from scada.drivers.dmesh.simulator.supply import SupplyActuator

WRAPPING: Final = 160                       # bytes of a frame that are not the block


@attrs.frozen
class SimModule:
    """One module as the concentrator knows it."""

    index: int
    eui: int
    channels: int
    adapter: str = ""
    actuator: Actuator | None = None
    joins_at: float = float("-inf")         # s, site time: not in the subnet before
    supply: SupplyActuator | None = None    # of the whole point


class Listener:
    """What a session hears from the state; this one is deaf."""

    def records_added(self) -> None: ...

    def events_added(self) -> None: ...

    def modules_joined(self, modules: tuple[SimModule, ...]) -> None: ...

    def link_stats(self, now: float) -> None: ...

    def tree_changed(self) -> None: ...

    def overheard(self, now: float) -> None: ...

    def sensed(self, samples: tuple[Sample, ...]) -> None: ...

    def reported(self, report: CommandReport) -> None: ...

    def read(self, result: ReadResult) -> None: ...

    def told(self, message: Message) -> None: ...
