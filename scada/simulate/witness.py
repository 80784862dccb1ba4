"""Holds what a head-end shows against the truth: what is held of each hour, the trees, the loads, what lies waiting."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from scada.drivers.dmesh.numbers import KeyTarget
from scada.drivers.dmesh.simulator.client import ConcentratorClient
from scada.drivers.dmesh.simulator.tree import MOST_LEVELS
from scada.intervals import MISSING, IntervalStatus
from scada.network import Trouble
from scada.simulate.headend import HeadEnd
from scada.simulate.truth import Key, read_truth

FAR_OFF_S: Final = 10.0                     # a concentrator's clock that is slewed for long
LOOK_MIN: Final = 5                         # site minutes between two looks at the trees
FELL: Final = 0.95                          # of the mean delivery ratio before


class Witness:
    """`minute` is called each site minute; `look` says everything that `Expectation` has a name for."""

    def __init__(
        self, head: HeadEnd, clients: Mapping[str, ConcentratorClient], truth: Path, first_hour: int
    ) -> None:
        self._head, self._clients, self._path, self._first = head, dict(clients), truth, first_hour
        self._counts: Counter[str] = Counter()
        self._minutes = 0
        self._trees: dict[str, tuple[dict[int, int], float]] = {}
        self._home = {one.eui: name for name, client in clients.items() for one in client.state.modules}
        self._keys = {name: client.state.keys.link.active for name, client in clients.items()}
        self.counted: dict[Key, int] = {}                   # what the meters gave
        self.archived: dict[Key, set[int]] = {}             # and what the concentrators archived of it: two that have one
                                                            # EUI at once each have their own, of which one is kept

    def minute(self) -> None:
        """What a look at the end would not see any more."""
        archives = [client.state.archive for client in self._clients.values()]
        self._counts["archive.minutes_behind"] += any(one.newest > one.acknowledged for one in archives)
        for name in self._clients:
            self._watch_time(name)
        self._minutes += 1
        if self._minutes % LOOK_MIN == 0:
            for name in self._clients:
                self._watch_tree(name)

    def look(self) -> dict[str, float]:
        """By the names of `scada.simulate.faults.expect`."""
        seen = self._head.look() | self._counts
        self._read()
        views = [self._head.dmesh.view(name) for name in self._clients]
        seen["tree.told"] = sum(view.generation for view in views if view is not None)
        links = {client.state.link_id: name for name, client in self._clients.items()}
        seen["joined.elsewhere"] = len({
            one.eui for one in self._head.registry.joined if self._home.get(one.eui) not in (None, links[one.link_id])
        })
        loads = [
            one.actuator for client in self._clients.values() for one in client.state.modules if one.actuator is not None
        ]
        seen["loads.off"] = sum(not one.supplied and not one.manual_restore for one in loads)
        seen["loads.switched"] = sum(
            client.state.switched_off for client in self._clients.values()
        )
        seen["keys.settled"] = sum(self._key_changed(name, client) for name, client in self._clients.items())
        return seen | self._hours()

    def held(self) -> tuple[dict[Key, int], dict[Key, int]]:
        """Pulses and status bits that the store holds of the hours that were counted."""
        places = sorted({key[:2] for key in self.counted})
        last = max((key[2] for key in self.counted), default=self._first - 1)
        store = self._head.historian
        slots = store.slots(
            np.array([one[0] for one in places], dtype=np.uint64), np.array([one[1] for one in places], dtype=np.uint8)
        )
        there = slots >= 0
        series = store.read(slots[there], self._first, last + 1 - self._first)
        counts, bits = series.counts.tolist(), series.status.tolist()
        pulses: dict[Key, int] = {}
        status: dict[Key, int] = {}
        for row, place in enumerate(one for one, known in zip(places, there.tolist(), strict=True) if known):
            for column, count in enumerate(counts[row]):
                status[*place, self._first + column] = bits[row][column]
                if count != MISSING:
                    pulses[*place, self._first + column] = count
        return pulses, status

    def lost_and_doubled(self) -> tuple[list[Key], list[Key]]:
        """Readings that were archived and are not held; and those held with a value that no concentrator archived."""
        self._head.merge()
        self._read()
        held, _ = self.held()
        lost = [key for key in self.archived if key not in held]
        return lost, [key for key, value in held.items() if value not in self.archived.get(key, ())]

    def _read(self) -> None:
        truth = read_truth(self._path)
        self.counted, self.archived = truth.counted, {}
        for pulses in truth.records.values():
            for key, count in pulses.items():
                if key[2] >= self._first:
                    self.archived.setdefault(key, set()).add(count)

    def _hours(self) -> dict[str, float]:
        held, status = self.held()
        true = self.counted
        off: Counter[tuple[int, int]] = Counter()
        for key, value in held.items():
            off[key[:2]] += value - true[key]
        seen: dict[str, float] = {
            "hours.missing": sum(key not in held for key in true),
            "hours.zero": sum(value == 0 and true[key] > 0 for key, value in held.items()),
            "pulses.more": sum(value > true[key] for key, value in held.items()),
            "pulses.fewer": sum(value < true[key] for key, value in held.items()),
            "pulses.sum_off": sum(map(abs, off.values())),
        }
        for bit in IntervalStatus:
            seen[f"flagged.{bit.name}"] = sum(bool(value & bit) for value in status.values())
        return seen

    def _watch_time(self, name: str) -> None:
        """Looks at which a module's clock is beyond tolerance, or a concentrator's far off is being slewed."""
        clocks = self._head.dmesh.clocks(name)
        if clocks is not None:
            self._counts["time.beyond"] += int(clocks.beyond > 0)
            self._counts["time.slewed"] += int(abs(clocks.offset_s) > FAR_OFF_S and clocks.mode == "slew")

    def _watch_tree(self, name: str) -> None:
        """Changes between two looks at a tree, as the server shows it."""
        view = self._head.dmesh.view(name)
        if view is None or not view.nodes:
            return
        parents = {one.index: one.parent for one in view.nodes}
        delivery = float(np.mean([one.delivery for one in view.nodes]))
        before = self._trees.get(name)
        self._trees[name] = parents, delivery
        self._counts["tree.at_limit"] += int(max(one.level for one in view.nodes) == MOST_LEVELS)
        if (figures := self._head.network.figures(name)) is not None:
            shown = np.bitwise_or.reduce(figures.trouble, initial=0)
            self._counts.update(f"trouble.{one.name}" for one in Trouble if one and shown & one)
        if before is not None:
            self._counts["tree.moved"] += sum(parents.get(index, parent) != parent for index, parent in before[0].items())
            self._counts["mesh.delivery_fell"] += int(delivery < FELL * before[1])

    def _key_changed(self, name: str, client: ConcentratorClient) -> bool:
        """Whether both ends hold another key than in the beginning, the same, and none on its way."""
        here, there = self._head.keys.ring((KeyTarget.LINK, client.state.link_id)), client.state.keys.link
        return here is not None and here.new is None and here.active == there.active != self._keys[name]
