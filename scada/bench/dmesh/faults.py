"""Readings lost or doubled over the whole catalogue of faults: each is played against a real driver and historian."""

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from scada.bench import Figure
from scada.clock import NS, SiteClock, TimeMap
from scada.commands import LoadClass
from scada.drivers.dmesh.simulator.actuator import Actuator
from scada.drivers.dmesh.simulator.archive import Record
from scada.drivers.dmesh.simulator.client import ConcentratorClient
from scada.drivers.dmesh.simulator.state import ConcentratorState, Outputs, SimModule
from scada.simulate.faults import CATALOGUE, Fault, Rig
from scada.simulate.headend import HeadEnd
from scada.simulate.truth import TruthWriter
from scada.simulate.virtual import VirtualReactor
from scada.simulate.witness import Witness
from scada.site import Concentrator, Module, ModuleState, Site

LINKS: Final = {"C01": 0x00010203, "C02": 0x00010204}
MODULES: Final = 24                    # of a concentrator, where a fault does not need more
TARGET: Final = 3                       # the module that faults befall
HOUR: Final = 490_896                   # h since 1970: noon
RATE: Final = 60.0
LONG_H: Final = 10.0                    # a fault that lasts longer is lived through ten times as fast


# Those of campaigns and of supplies need services that no head-end here has: they are played in the tests.
PLAYED: Final = tuple(one for one in CATALOGUE.values() if one.command != "campaign" and not one.live)


def measure(faults: Sequence[Fault] = PLAYED) -> list[Figure]:
    """Every fault on a district of its own, with what a person does in it, and the time it takes to come back."""
    lost = doubled = archived = 0
    for fault in faults:
        with tempfile.TemporaryDirectory(prefix="scada-bench-") as name:
            rate = RATE if fault.lasts_h < LONG_H else 10 * RATE
            district = Small(Path(name), rate, max(MODULES, fault.modules))
            try:
                district.play(fault)
                gone, twice = district.witness.lost_and_doubled()
                archived += len(district.witness.archived)
            finally:
                district.close()
        lost += len(gone) if fault.complete else 0
        doubled += len(twice)
    what = f"{len(faults)} faults, two concentrators of {MODULES} modules each, or more where one needs them"
    return [
        Figure("lost_or_doubled", f"{what}: readings lost, where the fault itself destroys none, or doubled",
               lost + doubled, "readings"),
        Figure("faults_played", what, len(faults), "faults"),
        Figure("faults_readings", f"{what}: readings that were archived", archived, "readings"),
    ]


class Small:
    """Two concentrators and a head-end, in virtual time and over real sockets."""

    def __init__(self, folder: Path, rate: float, modules: int) -> None:
        self._reactor, self._rate = VirtualReactor(), rate
        time_map = TimeMap(real0=0, site0=HOUR * 3600 * NS, rate=rate)
        now = self._reactor.seconds
        self._clock = SiteClock(time_map, real=lambda: round(now() * NS), monotonic=now)
        keys = {link: bytes([number]) * 16 for number, link in enumerate(LINKS.values(), 1)}
        self._indices = range(1, modules + 1)
        self._euis = np.array([eui(link, index) for link in LINKS.values() for index in self._indices], dtype=np.uint64)
        self._channels = np.zeros(len(self._euis), np.uint8)
        self._head = HeadEnd(folder, self._reactor, self._clock, site(modules), keys)
        self._truth = TruthWriter(folder / "truth.jsonl")
        self._clients = {name: self._client(link, keys[link]) for name, link in LINKS.items()}
        self.witness = Witness(self._head, self._clients, folder / "truth.jsonl", HOUR)
        self._registers = np.full(len(self._euis), 1000, dtype=np.int64)
        self._dice, self._closed = np.random.default_rng(7), HOUR
        for client in self._clients.values():
            client.start()
        self._head.settle()

    @property
    def _site_s(self) -> float:
        return self._clock.now() / NS

    def play(self, fault: Fault) -> None:
        """Quiet hours, the fault for as long as it lasts with the command that belongs to it, and three hours after it."""
        step = self._rate / RATE
        self._run(fault.settled_h, step)
        if fault.command == "before":
            self._shed("c")
            self._run(2 / 60)
        first, *others = self._clients.values()
        undo = fault.begin(Rig(first, TARGET, lambda: self._site_s, random.Random(1), tuple(others)))
        self._head.settle()
        if fault.command == "rotate":
            self._head.rotate(LINKS["C01"])
        for name in {"during": "c", "twice": "cd"}.get(fault.command, ""):
            self._shed(name)
        self._run(0.5)
        if fault.command == "before":
            self._head.inquire(b"c" * 16, LINKS["C01"])
        self._run(fault.lasts_h - 0.5, step)
        undo()
        self._run(3.0, step)

    def close(self) -> None:
        self._head.close()
        self._truth.close()

    def _run(self, hours: float, step_min: float = 1.0) -> None:
        for _ in range(round(hours * 60 / step_min)):
            self._reactor.advance(60.0 * step_min / self._rate)
            for client in self._clients.values():
                client.state.control.run(self._site_s)
            while self._closed < self._site_s // 3600:
                self._close_hour(self._closed)
                self._closed += 1
            self._head.settle()
            self.witness.minute()

    def _shed(self, name: str) -> None:
        state = self._clients["C01"].state
        members = tuple((one.index, one.eui) for one in state.modules if one.actuator is not None)
        self._head.shed(name.encode() * 16, LINKS["C01"], members)
        self._head.settle()

    def _client(self, link: int, key: bytes) -> ConcentratorClient:
        modules = tuple(
            SimModule(index, eui(link, index), 1, "AD220/50", Actuator(LoadClass.YELLOW)) for index in self._indices
        )
        state = ConcentratorState(
            link, key, modules, started=float(HOUR * 3600), archive_id=77, boot_id=1, out_of_reach=0.0, max_frame=1024,
            outputs=Outputs(on_record=lambda record: self._recorded(link, record)),
        )
        return ConcentratorClient(state, self._reactor, self._head.endpoint, lambda: self._site_s, dice=lambda: 0.5)

    def _recorded(self, link: int, record: Record) -> None:
        state = next(one.state for one in self._clients.values() if one.state.link_id == link)
        profile = record.profile
        owners = {one.index: one.eui for one in state.entries(state.generations[profile.generation])}
        euis = np.array([owners[int(index)] for index in profile.index], dtype=np.uint64)
        self._truth.record(
            link, state.archive.id, record.number, profile.first_hour, euis, profile.channel, profile.counts
        )

    def _close_hour(self, hour: int) -> None:
        pulses = self._dice.integers(40, 90, len(self._euis))
        registers = self._registers % 2**32
        self._registers += pulses
        self._truth.hour(hour, self._euis, self._channels, pulses)
        for client in self._clients.values():
            client.state.close_hour(hour, self._euis, self._channels, registers, pulses, np.zeros_like(self._channels))


def eui(link: int, index: int) -> int:
    return 0x02DF_0000_0000_0000 + (link << 8) + index


def site(modules: int) -> Site:
    return Site(
        concentrators=tuple(Concentrator(name, link) for name, link in LINKS.items()),
        modules=tuple(
            Module(eui(link, index), f"{name}-{index:03d}", name, index, ModuleState.ACTIVE)
            for name, link in LINKS.items() for index in range(1, modules + 1)
        ),
    )
