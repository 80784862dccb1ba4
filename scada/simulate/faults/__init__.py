"""Everything that may go wrong on purpose: one function a fault, entered in one catalogue by name.

    @fault("corrupt-frames", Kind.LINK, does="…", shows="…", expect=("dmesh.dropped_frame_crc >= 1",))
    def corrupt(rig: Rig) -> Undo: ...

The function makes it go wrong and returns what ends it. `shows` and `expect` are what the server must show for it:
the tests find every fault here and hold the server to it (docs/guide/simulator.md).
"""

from scada.simulate.faults import actuators, concentrators, firmware, frames, links, meters, radio, supplies
from scada.simulate.faults.catalogue import CATALOGUE, Fault, Kind
from scada.simulate.faults.rig import Rig, Undo

__all__ = [
    "CATALOGUE", "Fault", "Kind", "Rig", "Undo", "actuators", "concentrators", "firmware", "frames", "links", "meters",
    "radio", "supplies",
]
