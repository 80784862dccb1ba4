"""A stand for faults: a head-end (the real driver, historian, alarms, outages) and two simulated concentrators.

Time is virtual, at 120 x. Bytes go over real TCP sockets of the loopback; the historian's threads write to a real folder.
"""

import random
from pathlib import Path
from typing import Any

import numpy as np
from twisted.internet.defer import Deferred, succeed

from scada.bus import TagBus
from scada.clock import NS
from scada.commands import Actor, LoadClass, Role
from scada.drivers.dmesh.messages import image_id
from scada.drivers.dmesh.service import DmeshService
from scada.drivers.dmesh.simulator import network
from scada.drivers.dmesh.simulator.actuator import Actuator
from scada.drivers.dmesh.simulator.archive import Record
from scada.drivers.dmesh.simulator.client import ConcentratorClient
from scada.drivers.dmesh.simulator.state import ConcentratorState, Outputs, SimModule
from scada.firmware.service import FirmwareService
from scada.firmware.store import FILE, FirmwareStore, Package
from scada.firmware.trust import TrustedKey
from scada.rollout import CampaignRequest, UpdateFilter, UpdateState
from scada.settings import FirmwareSettings
from scada.simulate.faults import Fault, Rig
from scada.simulate.headend import HeadEnd
from scada.simulate.standins import Inline
from scada.simulate.truth import Key, TruthWriter
from scada.simulate.virtual import VirtualReactor
from scada.simulate.witness import Witness
from scada.site import BalanceGroup, Concentrator, Medium, MeterPeriod, Module, ModuleState, Point, Site
from tests import firmware_maker as maker
from tests.fakes import NOON, site_clock

LINKS = (0x00010203, 0x00010204)
KEYS = {link: bytes([number]) * 16 for number, link in enumerate(LINKS)}
MODULES, RATE = 25, 120.0               # of a concentrator, where nobody needs more; the last is at the feed of the others
TARGET = 3                              # the module that faults befall
LISTED_H = 0.5                          # until the concentrators have said what their modules run
HOUR = NOON // 3600


def eui(link: int, index: int) -> int:
    return 0x02DF_0000_0000_0000 + (link << 8) + index


class Silent:
    """An audit that has nothing to say."""

    def append(self, *_: Any, **detail: Any) -> "Deferred[None]":
        return succeed(None)


class Stand:
    """Everything wired; `run` lets site hours pass."""

    def __init__(self, folder: Path, register: int = 1000, *, rate: float = RATE, modules: int = MODULES) -> None:
        self.reactor, self.rate = VirtualReactor(), rate
        self.clock = site_clock(self.reactor, rate=rate)
        self.feed = modules
        self.names = tuple((link, index) for link in LINKS for index in range(1, modules + 1))
        self.euis = np.array([eui(*one) for one in self.names], dtype=np.uint64)
        self._channels = np.zeros(len(self.names), np.uint8)
        self.head = HeadEnd(folder, self.reactor, self.clock, site(modules), KEYS)
        self.historian, self.store = self.head.historian, self.head.store
        self.truth = TruthWriter(folder / "truth.jsonl")
        self.registers = dict.fromkeys(self.names, register)
        self._dice = np.random.default_rng(7)
        self.clients = tuple(self._client(link) for link in LINKS)
        self.witness = Witness(
            self.head, dict(zip(("C01", "C02"), self.clients, strict=True)), folder / "truth.jsonl", HOUR
        )
        self._let_overhear()
        self._closed = HOUR
        self._folder = folder
        self.firmware: FirmwareService | None = None
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

    def run(self, hours: float) -> None:
        """Let site time pass, a real second at a time."""
        for _ in range(round(hours * 3600 / self.rate)):
            self.reactor.advance(1.0)
            for client in self.clients:
                client.state.control.run(self.site_s)
                client.state.firmware.run(self.site_s)
            while self._closed < self.site_s // 3600:
                self._close_hour(self._closed)
                self._closed += 1
            self.settle()
            self.witness.minute()

    def settle(self) -> None:
        """Until nothing is under way, over the network or to the disk."""
        self.head.settle()

    def close(self) -> None:
        if self.firmware is not None:
            self.firmware.stop()
            self.settle()
        self.head.close()
        self.truth.close()

    def rig(self, seed: int = 1) -> Rig:
        return Rig(self.clients[0], TARGET, lambda: self.site_s, random.Random(seed), self.clients[1:])

    def command(self, name: str = "c", off_for_s: int = 600) -> None:
        """A group command to every load of the first concentrator."""
        members = tuple((one.index, one.eui) for one in self.clients[0].state.modules if one.actuator is not None)
        self.head.shed(name.encode() * 16, LINKS[0], members, off_for_s)
        self.settle()

    def inquire(self, name: str = "c") -> None:
        self.head.inquire(name.encode() * 16, LINKS[0])
        self.settle()

    # ------------------------------------------------------------------------------------------------ firmware
    def prepare_campaigns(self) -> None:
        """The campaigns' service with a signed image, and concentrators that have said what their modules run."""
        content = maker.content(1000)
        body = maker.manifest(content)
        store = FirmwareStore(self._folder / FILE)
        store.open()
        store.trust(TrustedKey(maker.VENDOR, maker.PUBLIC, 0, "admin"))
        store.add_image(Package(image_id(body), body, maker.sign(body), 0, "admin"), content)
        store.close()
        audit: Any = Silent()
        pool: Any = Inline()
        self.firmware = FirmwareService(
            FirmwareSettings(), self.head.registry, self.service.updates, audit, self.clock, self.reactor, self._folder,
            pool, TagBus(self.clock, self.reactor), monitor_only=False,
        )
        self.firmware.start()
        self.settle()
        for client in self.clients:
            client.state.firmware.makers = (maker.PUBLIC,)
            client.cut()
        self.run(LISTED_H)

    def campaign(self) -> None:
        """To every module, a canary of two, approved."""
        assert self.firmware is not None
        image = self.firmware.images()[0].image
        ana, ion = (Actor(name, Role.ENGINEER) for name in ("ana", "ion"))
        self._do(self.firmware.draft(ana, CampaignRequest(image.id.hex(), canary=2, wave=100, soak_s=0)))
        self._do(self.firmware.start_canary(ana, 1))
        self._do(self.firmware.approve(ion, 1))

    def _do(self, doing: "Deferred[Any]") -> None:
        self.settle()
        assert doing.called, "it waits for something that is no thread"
        doing.addErrback(lambda failure: failure.raiseException())

    def _firmware(self) -> dict[str, float]:
        if self.firmware is None or (found := self.firmware.campaign(1)) is None:
            return {}
        rows, _ = self.firmware.updates(1, UpdateFilter((UpdateState.FAILED,)))
        seen: dict[str, float] = {f"firmware.{one.name.lower()}": found.count(one) for one in UpdateState}
        for code, said in (("CRYPTO", "CRYPTO"), ("TIMEOUT", "TIMEOUT"), ("ROLLBACK", "it ran number")):
            seen[f"firmware.failed_{code}"] = sum(said in one.reason for one in rows)
        again = sum(client.state.firmware.blocks_again for client in self.clients)
        return seen | {"firmware.tripped": found.tripped, "firmware.stage": found.stage, "firmware.blocks_again": again}

    # ------------------------------------------------------------------------------------------------ looking
    def look(self) -> dict[str, float]:
        """What the server shows, by the names of `scada.simulate.faults.expect`."""
        return self.witness.look() | self._firmware()

    def lost_and_doubled(self) -> tuple[list[Key], list[Key]]:
        """Readings that were archived and are not held; and those held with a value that nobody archived."""
        return self.witness.lost_and_doubled()

    # ------------------------------------------------------------------------------------------------ private
    def _client(self, link: int) -> ConcentratorClient:
        outputs = Outputs(
            on_record=lambda record: self._recorded(link, record),
        )
        modules = tuple(
            SimModule(index, eui(link, index), 1, "AD220/50", Actuator(LoadClass.YELLOW) if index != self.feed else None)
            for index in range(1, self.feed + 1)
        )
        state = ConcentratorState(
            link, KEYS[link], modules,
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
        self.truth.record(
            link, state.archive.id, record.number, profile.first_hour,
            np.array([owners[int(index)] for index in profile.index], dtype=np.uint64), profile.channel, profile.counts,
        )

    def _close_hour(self, hour: int) -> None:
        pulses = self._dice.integers(40, 90, len(self.names))
        for number in range(len(LINKS)):                    # the last of each is the feed of the others
            mine = slice(number * self.feed, (number + 1) * self.feed)
            pulses[mine][-1] = pulses[mine][:-1].sum()
        registers = np.array([self.registers[one] for one in self.names], dtype=np.int64) % 2**32
        for one, count in zip(self.names, pulses.tolist(), strict=True):
            self.registers[one] += count
        self.truth.hour(hour, self.euis, self._channels, pulses)
        for client in self.clients:
            client.state.close_hour(hour, self.euis, self._channels, registers, pulses, np.zeros_like(self._channels))


def site(count: int = MODULES) -> Site:
    names = {link: f"C0{number}" for number, link in enumerate(LINKS, 1)}
    modules = tuple(
        Module(eui(link, index), f"{names[link]}-{index:03d}", names[link], index, ModuleState.ACTIVE,
               building=f"B{LINKS.index(link) + 1}")
        for link in LINKS for index in range(1, count + 1)
    )
    points = tuple(Point(f"P-{one.name}", Medium.ELECTRICITY) for one in modules)
    meters = tuple(
        MeterPeriod(f"S-{one.name}", f"P-{one.name}", one.eui, 0, 1000.0, HOUR - 24 * 365) for one in modules
    )
    groups = tuple(
        BalanceGroup(
            f"BG-{name}", Medium.ELECTRICITY, feed_point=f"P-{name}-{count:03d}",
            members=tuple(f"P-{name}-{index:03d}" for index in range(1, count)),
        )
        for name in names.values()
    )
    return Site(
        concentrators=tuple(Concentrator(name, link) for link, name in names.items()), modules=modules, points=points,
        meters=meters, balance_groups=groups,
    )


def rate_for(fault: Fault) -> float:
    """What lasts for days is lived through faster."""
    return RATE if fault.lasts_h < 10.0 else 5 * RATE


def play(stand: Stand, fault: Fault, *, really: bool = True) -> dict[str, float]:
    """Some quiet hours, the fault for some, and what it takes to come back; what changed since it would have begun."""
    stand.run(fault.settled_h - (LISTED_H if fault.command == "campaign" else 0.0))
    if fault.command == "campaign":
        stand.prepare_campaigns()
    before = stand.look()
    if fault.command == "before":
        stand.command()
        stand.run(2 / 60)
    undo = fault.begin(stand.rig()) if really else lambda: None
    stand.settle()
    if fault.command == "campaign":
        stand.campaign()
    if fault.command == "rotate":
        stand.head.rotate(LINKS[0])
    if fault.command in ("during", "twice"):
        twice = fault.command == "twice"
        stand.command("c", 900 if twice else 600)
        stand.command("d", 900) if twice else None
    stand.run(0.5)
    stand.inquire() if fault.command == "before" else None
    stand.run(fault.lasts_h - 0.5)
    undo()
    stand.run(3.0)
    after = stand.look()
    return {name: value - (0 if name == "loads.off" else before.get(name, 0)) for name, value in after.items()}
