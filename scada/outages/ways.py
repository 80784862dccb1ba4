"""Whom lost modules were last heard through: asked of the history of the trees, once for each loss. Blocking.

The tree of the present says nothing of it. By the time a module is called lost the network has grown another way around
what failed, and whoever is silent hangs on nothing.
"""

from collections.abc import Mapping

from scada.errors import StorageError
from scada.ports import NetworkMonitor

Losses = Mapping[str, Mapping[int, int]]    # when each module was lost [ns]: by concentrator, by EUI


class Ways:
    """What was answered is kept as long as the loss is."""

    def __init__(self, network: NetworkMonitor) -> None:
        self._network = network
        self._known: dict[tuple[int, int], int] = {}        # (EUI, lost) -> EUI of the relay

    def of(self, losses: Losses) -> dict[int, int]:
        """EUI of the relay by EUI, 0 for the concentrator; without those of whom no history says it."""
        known: dict[tuple[int, int], int] = {}
        for concentrator, lost in losses.items():
            known |= {key: self._known[key] for key in lost.items() if key in self._known}
            missing = {eui: at for eui, at in lost.items() if (eui, at) not in known}
            try:
                found = self._network.through(concentrator, missing) if missing else {}
            except StorageError:                            # its owner says so; the last report is better than no cause
                found = {}
            known |= {(eui, missing[eui]): relay for eui, relay in found.items()}
        self._known = known
        return {eui: relay for (eui, _), relay in known.items()}
