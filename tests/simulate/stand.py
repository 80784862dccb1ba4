"""A stand for faults: a head-end (the real driver, historian, alarms, outages) and two simulated concentrators.

Time is virtual, at 60 x. Bytes go over real TCP sockets of the loopback; the historian's threads write to a real folder.
"""

import random
from pathlib import Path

import numpy as np

from scada.clock import NS
from scada.commands import Action, GroupOrder, LoadClass
from scada.drivers.dmesh.numbers import KeyTarget
from scada.drivers.dmesh.service import DmeshService
from scada.drivers.dmesh.simulator import network
from scada.drivers.dmesh.simulator.actuator import Actuator
from scada.drivers.dmesh.simulator.archive import Record
from scada.drivers.dmesh.simulator.client import ConcentratorClient
from scada.drivers.dmesh.simulator.state import ConcentratorState, Outputs, SimModule
from scada.intervals import MISSING, IntervalStatus
from scada.simulate.faults import Fault, Rig
from scada.simulate.headend import HeadEnd
from scada.simulate.truth import TruthWriter, read_truth
from scada.simulate.virtual import VirtualReactor
from scada.site import BalanceGroup, Concentrator, Medium, MeterPeriod, Module, ModuleState, Point, Site
from tests.fakes import NOON, site_clock

LINKS = (0x00010203, 0x00010204)
KEYS = {link: bytes([number]) * 16 for number, link in enumerate(LINKS)}
MODULES, RATE = 24, 60.0
FEED = MODULES + 1                      # the module at the feed of all others of its concentrator
LOOK_MIN = 5                            # between two looks at the tree
TARGET = 3                              # the module that faults befall
HOUR = NOON // 3600
Key = tuple[int, int]                   # EUI, hour
NAMES = tuple((link, index) for link in LINKS for index in range(1, FEED + 1))


def eui(link: int, index: int) -> int:
    return 0x02DF_0000_0000_0000 + (link << 8) + index


EUIS = np.array([eui(*one) for one in NAMES], dtype=np.uint64)
CHANNELS = np.zeros(len(NAMES), np.uint8)


class Truth:
    """What the meters gave, and what the concentrators archived of it, as the truth file says."""

    def __init__(self, path: Path) -> None:
        self.path, self.writer = path, TruthWriter(path)
        self.counted: dict[Key, int] = {}
        self.archived: dict[Key, int] = {}

    def read(self) -> None:
        """Take in what was written."""
        truth = read_truth(self.path)
        self.counted = {(eui, hour): count for (eui, _, hour), count in truth.counted.items()}
        self.archived = {}
        for pulses in truth.records.values():
            for (eui, _, hour), count in pulses.items():
                if hour >= HOUR:
                    self.archived.setdefault((eui, hour), count)


class Stand:
    """Everything wired; `run` lets site hours pass."""

    def __init__(self, folder: Path, register: int = 1000, *, rate: float = RATE) -> None:
        self.reactor, self.rate = VirtualReactor(), rate
        self.clock = site_clock(self.reactor, rate=rate)
        self.head = HeadEnd(folder, self.reactor, self.clock, site(), KEYS)
        self.historian, self.store = self.head.historian, self.head.store
        self.truth, self.seen = Truth(folder / "truth.jsonl"), self.head.counts
        self.switched: list[tuple[int, bool]] = []
        self.registers = dict.fromkeys(NAMES, register)
        self._dice = np.random.default_rng(7)
        self._commands = self._minutes = 0
        self._tree: tuple[dict[int, int], float] | None = None
        self.clients = tuple(self._client(link) for link in LINKS)
        self._let_overhear()
        self._closed = HOUR
        for client in self.clients:
            client.start()
        self.settle()

    # ------------------------------------------------------------------------------------------------ running
    @property
    def service(self) -> DmeshService:
        return self.head.dmesh

    @property
    def site_s(self) -> float:
        return self.clock.now() / NS

    def run(self, hours: float, step_min: float = 1.0) -> None:
        """Let site time pass, a minute at a time."""
        for _ in range(round(hours * 60 / step_min)):
            self.reactor.advance(60.0 * step_min / self.rate)
            for client in self.clients:
                client.state.control.run(self.site_s)
            while self._closed < self.site_s // 3600:
                self._close_hour(self._closed)
                self._closed += 1
            self.settle()
            self._watch_tree()
            self.head.watch()

    def settle(self) -> None:
        """Until nothing is under way, over the network or to the disk."""
        self.head.settle()

    def close(self) -> None:
        self.head.close()
        self.truth.writer.close()

    def rig(self, seed: int = 1) -> Rig:
        return Rig(self.clients[0], TARGET, lambda: self.site_s, random.Random(seed), self.clients[1:])

    def command(self, name: str = "c", off_for_s: int = 600) -> None:
        """A group command to every load of the first concentrator."""
        self._commands += 1
        state = self.clients[0].state
        members = tuple((one.index, one.eui) for one in state.modules if one.actuator is not None)
        order = GroupOrder(
            name.encode() * 16, LINKS[0], 5, 2, Action.SHED, LoadClass.YELLOW, off_for_s,
            int(self.site_s) + 300, 0, 3, members
        )
        self.service.send(order).addErrback(lambda failure: self.seen.update(["command.failed"]))
        self.settle()

    def inquire(self, name: str = "c") -> None:
        def said(known: bool) -> None:
            self.seen.update(["command.known" if known else "command.forgotten"])

        self.service.inquire(name.encode() * 16, LINKS[0]).addCallbacks(said, lambda _: None)
        self.settle()

    # ------------------------------------------------------------------------------------------------ looking
    def look(self) -> dict[str, float]:
        """What the server shows, by the names of `scada.simulate.faults.expect`."""
        seen = self.head.look()
        self.truth.read()
        seen["keys.settled"] = float(self._key_changed())
        seen["loads.switched"] = len([1 for _, supplied in self.switched if not supplied])
        seen["loads.off"] = sum(
            not one.actuator.supplied for one in self.clients[0].state.modules if one.actuator is not None
        )
        view = self.service.view("C01")
        assert view is not None
        seen["tree.told"] = view.generation
        seen["joined.elsewhere"] = len({
            one.eui for one in self.head.registry.joined if one.link_id != self._home(one.eui)
        })
        return seen | self._hours()

    def _key_changed(self) -> bool:
        """Whether both ends hold another key than in the beginning, the same, and none on its way."""
        here, there = self.head.keys.ring((KeyTarget.LINK, LINKS[0])), self.clients[0].state.keys.link
        changed = here is not None and here.active is not None and here.active.secret != KEYS[LINKS[0]]
        return changed and here.new is None and here.active == there.active     # type: ignore[union-attr]

    def held(self) -> tuple[dict[Key, int], dict[Key, int]]:
        """Pulses and status bits that the store holds, by EUI and hour."""
        slots = self.historian.slots(EUIS, CHANNELS)
        there = slots >= 0
        series = self.historian.read(slots[there], HOUR, self._closed - HOUR)
        pulses: dict[Key, int] = {}
        status: dict[Key, int] = {}
        for row, one in enumerate(EUIS[there].tolist()):
            for column in range(series.counts.shape[1]):
                status[one, HOUR + column] = int(series.status[row, column])
                if series.counts[row, column] != MISSING:
                    pulses[one, HOUR + column] = int(series.counts[row, column])
        return pulses, status

    def lost_and_doubled(self) -> tuple[list[Key], list[Key]]:
        """Readings that were archived and are not held; and those held with another value than was archived first."""
        held, _ = self.held()
        lost = [key for key in self.truth.archived if key not in held]
        return lost, [key for key, value in held.items() if self.truth.archived.get(key) != value]

    def _hours(self) -> dict[str, float]:
        held, status = self.held()
        target = eui(LINKS[0], TARGET)
        true = self.truth.counted
        seen: dict[str, float] = {
            "hours.missing": sum(key not in held for key in true),
            "hours.zero": sum(value == 0 for value in held.values()),
            "pulses.more": sum(value > true[key] for key, value in held.items()),
            "pulses.fewer": sum(value < true[key] for key, value in held.items()),
            "pulses.sum_off": abs(sum(value - true[key] for key, value in held.items() if key[0] == target)),
        }
        for bit in IntervalStatus:
            seen[f"flagged.{bit.name}"] = sum(bool(value & bit) for value in status.values())
        return seen

    # ------------------------------------------------------------------------------------------------ private
    def _client(self, link: int) -> ConcentratorClient:
        outputs = Outputs(
            on_supply=lambda eui, supplied, at: self.switched.append((eui, supplied)),
            on_record=lambda record: self._recorded(link, record),
        )
        state = ConcentratorState(
            link, KEYS[link],
            tuple(SimModule(index, eui(link, index), 1, "AD220/50", Actuator(LoadClass.YELLOW) if index != FEED else None)
                  for index in range(1, FEED + 1)),
            started=float(NOON), archive_id=77, boot_id=1, outputs=outputs, out_of_reach=0.0, max_frame=1024,
        )
        return ConcentratorClient(state, self.reactor, self.head.endpoint, lambda: self.site_s, dice=lambda: 0.5)

    def _let_overhear(self) -> None:
        """One module of the second concentrator is heard by two of the first."""
        here, there = (client.state for client in self.clients)
        here.strangers = network.strangers(
            np.array([[-98.0], [-95.0]]), [4, 7], [(eui(LINKS[1], 5), LINKS[1])], -107.0, there.sends
        )

    def _recorded(self, link: int, record: Record) -> None:
        state, profile = self.clients[LINKS.index(link)].state, record.profile
        owners = {one.index: one.eui for one in state.entries(state.generations[profile.generation])}
        self.truth.writer.record(
            link, state.archive.id, record.number, profile.first_hour,
            np.array([owners[int(index)] for index in profile.index], dtype=np.uint64), profile.channel, profile.counts,
        )

    def _watch_tree(self) -> None:
        """Changes between two looks at the tree of the first concentrator, as the server shows it."""
        archive = self.clients[0].state.archive
        self.seen["archive.minutes_behind"] += int(archive.newest > archive.acknowledged)
        self._minutes += 1
        if self._minutes % LOOK_MIN:
            return
        view = self.service.views()[0]
        parents = {one.index: one.parent for one in view.nodes}
        delivery = float(np.mean([one.delivery for one in view.nodes])) if view.nodes else float("nan")
        before, self._tree = self._tree, (parents, delivery)
        if before is not None:
            moved = sum(parents.get(index, parent) != parent for index, parent in before[0].items())
            self.seen["tree.moved"] += moved
            self.seen["mesh.delivery_fell"] += int(delivery < 0.95 * before[1])

    def _close_hour(self, hour: int) -> None:
        pulses = self._dice.integers(40, 90, len(NAMES))
        for number in range(len(LINKS)):                    # the last of each is the feed of the others
            mine = slice(number * FEED, (number + 1) * FEED)
            pulses[mine][-1] = pulses[mine][:-1].sum()
        registers = np.array([self.registers[one] for one in NAMES], dtype=np.int64) % 2**32
        for one, count in zip(NAMES, pulses.tolist(), strict=True):
            self.registers[one] += count
        self.truth.writer.hour(hour, EUIS, CHANNELS, pulses)
        for client in self.clients:
            client.state.close_hour(hour, EUIS, CHANNELS, registers, pulses, np.zeros(len(NAMES), np.uint8))

    def _home(self, one: int) -> int:
        return (one >> 8) & 0xFFFF_FFFF


def site() -> Site:
    names = {link: f"C0{number}" for number, link in enumerate(LINKS, 1)}
    modules = tuple(
        Module(eui(link, index), f"{names[link]}-{index:03d}", names[link], index, ModuleState.ACTIVE,
               building=f"B{LINKS.index(link) + 1}")
        for link, index in NAMES
    )
    points = tuple(Point(f"P-{one.name}", Medium.ELECTRICITY) for one in modules)
    meters = tuple(
        MeterPeriod(f"S-{one.name}", f"P-{one.name}", one.eui, 0, 1000.0, HOUR - 24 * 365) for one in modules
    )
    groups = tuple(
        BalanceGroup(
            f"BG-{name}", Medium.ELECTRICITY, feed_point=f"P-{name}-{FEED:03d}",
            members=tuple(f"P-{name}-{index:03d}" for index in range(1, FEED)),
        )
        for name in names.values()
    )
    return Site(
        concentrators=tuple(Concentrator(name, link) for link, name in names.items()), modules=modules, points=points,
        meters=meters, balance_groups=groups,
    )


def rate_for(fault: Fault) -> float:
    """What lasts for days is lived through faster."""
    return RATE if fault.lasts_h < 10.0 else 10 * RATE


def play(stand: Stand, fault: Fault, *, really: bool = True) -> dict[str, float]:
    """Some quiet hours, the fault for some, and what it takes to come back; what changed since it would have begun."""
    step = stand.rate / RATE                                # site minutes: a real second
    stand.run(fault.settled_h, step)
    before = stand.look()
    if fault.command == "before":
        stand.command()
        stand.run(2 / 60)
    undo = fault.begin(stand.rig()) if really else lambda: None
    stand.settle()
    if fault.command == "rotate":
        stand.head.keys.begin([(KeyTarget.LINK, LINKS[0])], stand.clock.real())
    if fault.command in ("during", "twice"):
        twice = fault.command == "twice"
        stand.command("c", 900 if twice else 600)
        stand.command("d", 900) if twice else None
    stand.run(0.5)
    stand.inquire() if fault.command == "before" else None
    stand.run(fault.lasts_h - 0.5, step)
    undo()
    stand.run(3.0, step)
    after = stand.look()
    return {name: value - (0 if name == "loads.off" else before.get(name, 0)) for name, value in after.items()}
