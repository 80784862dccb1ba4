"""The gap engine: looks at one concentrator after the other, asks for holes with ARCH_READ, says what was given up.

It yields to everything else: to commands, to history that is still coming by itself, to links that are down.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from scada.clock import DAY_H, HOUR_S, NS, SiteClock
from scada.drivers.dmesh import gaps, sets
from scada.drivers.dmesh.collection import GIVEN_UP_DAYS, Channels, Picture, channels_of, day_edges, look
from scada.drivers.dmesh.completeness import Completeness
from scada.drivers.dmesh.coverage import Coverage, Words, expected, hours_in
from scada.drivers.dmesh.gaps import Ledger, Read
from scada.drivers.dmesh.messages import ArchRead, Error, Packet, ProfileMessage, Result
from scada.drivers.dmesh.modules import Modules, unheard
from scada.drivers.dmesh.numbers import MAX_MODULES, Code
from scada.drivers.dmesh.owing import Owing
from scada.drivers.dmesh.pulsing import Pulsing
from scada.drivers.dmesh.signing import RunBlocking
from scada.drivers.dmesh.station import Station
from scada.drivers.dmesh.wishes import Wish, WishBook, holes
from scada.events import DeviceEvent, EventCode
from scada.ports import CollectionSummary, CollectionView, IntervalReader, Recall, Registry, TagSink
from scada.settings import CollectionSettings
from scada.site import IN_SERVICE, Directory, Site

log = Logger()

TICK_S: Final = 0.0625                  # real time between two looks: at a concentrator (2 ms at 720 channels), at a group
REST_S: Final = 2.0                     # real time between two looks at the same one
CHUNK: Final = 8192                     # slots read at once while the picture is rebuilt


@attrs.define
class CollectionFigures:
    """Counters over all links, since start."""

    reads: int = 0                      # ARCH_READ sent
    reads_empty: int = 0                # of them those that brought nothing
    reads_busy: int = 0                 # and those that the concentrator had no time for
    read_hours: int = 0                 # channel-hours that they brought
    given_up_hours: int = 0


@attrs.define(eq=False)
class Asked:
    """One ARCH_READ under way."""

    read: Read
    station: Station
    corr: int
    lack: Words                         # (n,) of its day when it was sent
    cost: NDArray[np.int64]             # by subnet index, as it was charged
    deadline: float                     # real time, monotonic
    answered: bool = False
    busy: int = -1                      # real seconds: RESULT BUSY with this time to wait; -1: not busy
    wish: Wish | None = None            # whose it is


@attrs.define(eq=False)
class Subnet:
    """What is remembered of one concentrator between two looks."""

    ledger: Ledger
    channels: Channels | None = None
    modules: Modules | None = None      # what `channels` were made of
    directory: Directory | None = None
    picture: Picture | None = None
    looked: float = float("-inf")
    told: int = 0                       # newest day that was said to be given up
    pulsing: NDArray[np.bool_] | None = None                # (n,) channels on which something counts, when they were told
    compared: Site | None = None        # the site that its channels were held against


class Collector:
    """Keeps the coverage and closes its holes; `stations` are the links that are up, by link id."""

    def __init__(
        self, settings: CollectionSettings, zone: ZoneInfo, credit: int, clock: SiteClock, reactor: Any,
        reader: IntervalReader, registry: Registry, sink: TagSink, stations: Mapping[int, Station],
        run_blocking: RunBlocking, owing: Owing, tell_events: Callable[[Sequence[DeviceEvent]], "Deferred[Any]"],
        compare: Callable[[int], None],
    ) -> None:
        self._settings, self._zone, self._credit, self._clock = settings, zone, credit, clock
        self._reader, self._registry, self._sink, self._stations = reader, registry, sink, stations
        self._run, self._tell_events = run_blocking, tell_events
        self.coverage = Coverage(settings.depth_days + GIVEN_UP_DAYS + 1)
        self.figures = CollectionFigures()
        self.rebuilt_from = 2**31                           # days from here on are known
        self._subnets: dict[int, Subnet] = {}
        self._turn: deque[int] = deque()
        self._asked: dict[int, Asked] = {}
        self.owing, self.pulsing, self._compare = owing, Pulsing(), compare
        self.completeness = Completeness(clock, reader, registry, sink, owing, settings.module_tags)
        self.wishes = WishBook()
        self._stopped = False
        self._at_groups = True
        self._met = float("-inf")                           # when new concentrators were looked for last
        self._loop = LoopingCall(self._tick)
        self._loop.clock = reactor

    def start(self) -> None:
        self.coverage.advance(self._today())
        Deferred.fromCoroutine(self._rebuild()).addErrback(
            lambda failure: log.failure("the picture of what is held could not be rebuilt; no hole is asked for", failure)
        )
        self._loop.start(TICK_S, now=False)

    def stop(self) -> None:
        self._stopped = True
        if self._loop.running:
            self._loop.stop()

    def durable(self, slots: NDArray[np.int64], first: int, counts: NDArray[np.int64], interval_s: int) -> None:
        """(n, h) pulses are on the disk."""
        self.coverage.advance(self._today())
        self.coverage.enter(slots, first, counts, interval_s)
        self.pulsing.enter(slots, counts)

    def heard(self, link_id: int, packet: Packet) -> None:
        """An answer came to something; perhaps to a read of ours."""
        asked = self._asked.get(link_id)
        if asked is None or asked.corr != packet.corr:
            return
        if isinstance(packet.message, ProfileMessage):
            asked.deadline = self._clock.monotonic() + self._settings.answer_seconds
        elif isinstance(packet.message, Result | Error):
            asked.answered = True
            if isinstance(packet.message, Result) and packet.message.code == Code.BUSY:
                asked.busy = packet.message.retry_after

    def view(self, link_id: int) -> CollectionView | None:
        """How one concentrator stands; from any thread, for pictures are replaced whole."""
        subnet = self._subnets.get(link_id)
        picture = subnet.picture if subnet else None
        return picture.view(self._settings.depth_days) if picture else None

    def summary(self, link_id: int, name: str) -> CollectionSummary | None:
        """The same in few numbers; from any thread."""
        subnet = self._subnets.get(link_id)
        picture = subnet.picture if subnet else None
        if subnet is None or picture is None:
            return None
        ledger = subnet.ledger
        return attrs.evolve(
            picture.summary(name, self._settings.depth_days), link_up=link_id in self._stations,
            spent=int(ledger.spent.max()), budget=ledger.budget,
            busy_s=max(0.0, ledger.not_before - self._clock.monotonic()),
        )

    def groups(self) -> tuple[CollectionSummary, ...]:
        """How balance groups stand; from any thread."""
        depth, pictures = self._settings.depth_days, dict(self.completeness.pictures)
        return tuple(picture.summary(name, depth) for name, picture in pictures.items())

    def pictures(self) -> Mapping[int, Picture]:
        """How each concentrator stands, by link id."""
        return {link_id: one.picture for link_id, one in self._subnets.items() if one.picture is not None}

    @property
    def rebuilt(self) -> bool:
        """Whether the whole history was looked at: until then days that were not read yet look as if all of them lacked."""
        return self.rebuilt_from <= self.coverage.oldest

    @property
    def under_way(self) -> int:
        return len(self._asked)

    def delivering(self, link_id: int) -> Mapping[int, tuple[int, ...]] | None:
        """Channels on which something counts, by EUI; None while that is not known of this concentrator's modules."""
        subnet = self._subnets.get(link_id)
        if not self.rebuilt or subnet is None or subnet.channels is None:
            return None
        channels, found = subnet.channels, dict[int, tuple[int, ...]]()
        at = np.flatnonzero(self.pulsing.of(self._reader.slots(channels.eui, channels.channel)))
        for eui, channel in zip(channels.eui[at].tolist(), channels.channel[at].tolist(), strict=True):
            found[eui] = (*found.get(eui, ()), channel)
        return found

    def reading(self, link_id: int) -> bool:
        """Whether hours of this concentrator's modules are being fetched by radio."""
        return link_id in self._asked

    # ------------------------------------------------------------------ the picture from the disk
    async def _rebuild(self) -> None:
        """Newest day first; what comes meanwhile is entered beside it."""
        day = self._today() + 1
        while day >= self.coverage.oldest and not self._stopped:
            for start in range(0, self._reader.slot_bound(), CHUNK):
                slots = np.arange(start, start + CHUNK, dtype=np.int64)
                series = await self._run(self._reader.read, slots, day * DAY_H, DAY_H)
                present = slots[(series.counts != -1).any(axis=1)]
                if len(present):
                    self.coverage.enter(present, series.first, series.counts[present - start])
                    self.pulsing.enter(present, series.counts[present - start])
                if self._stopped:
                    return
            self.rebuilt_from = day
            day -= 1

    # ------------------------------------------------------------------ turns
    def _tick(self) -> None:
        try:
            self._settle()
            self._at_groups = not self._at_groups
            if self._at_groups:
                self._look_at_group()
            else:
                self._look()
        except Exception:                                   # one bad look must not end all that follow
            log.failure("the gap engine's turn failed")

    def _look(self) -> None:
        now = self._clock.monotonic()
        if now - self._met >= REST_S:
            self._met = now
            known = [one.link_id for one in self._registry.directory.site.concentrators]
            for link_id in {*known, *self._stations} - self._subnets.keys():
                self._subnets[link_id] = Subnet(Ledger(self._settings.packets_a_day))
                self._turn.append(link_id)
        if self._turn and now - self._subnets[self._turn[0]].looked >= REST_S:
            link_id = self._turn[0]
            subnet = self._subnets[link_id]
            self._turn.rotate(-1)
            subnet.looked = now
            self._examine(link_id, subnet)

    def _look_at_group(self) -> None:
        if self.rebuilt:
            due, edges = self._clock.hour() - self._settings.due_after_hours, day_edges(self._clock.seconds(), self._zone)
            self.completeness.next_group(self.coverage, due, self._settings.depth_days, edges)

    def _examine(self, link_id: int, subnet: Subnet) -> None:
        station = self._stations.get(link_id)
        channels = self._channels(link_id, subnet, station)
        if not len(channels.index) or self.rebuilt_from > self._today():
            return
        self.coverage.advance(self._today())
        slots = self._reader.slots(channels.eui, channels.channel)
        due = self._clock.hour() - self._settings.due_after_hours
        picture = subnet.picture = look(
            channels, slots, self.coverage, due, self._settings.depth_days, day_edges(self._clock.seconds(), self._zone)
        )
        self.completeness.concentrator(link_id, picture, self._settings.depth_days, modules=self.rebuilt)
        asked = self._asked.get(link_id)
        for over in self.wishes.settle(link_id, asked.wish if asked else None, self._clock.seconds()):
            log.info("{name}: the gap asked for by {who} is {state}: {brought} channel-hours came",
                     name=over.concentrator, who=over.by, state=over.state.value, brought=over.brought)
        self._give_up(link_id, subnet, picture)
        self._tell_channels(link_id, subnet, self.pulsing.of(slots))
        if station is not None and self._may_ask(link_id, station):
            self._ask(link_id, subnet, station, channels, picture)

    def _may_ask(self, link_id: int, station: Station) -> bool:
        """Commands, and history that comes by itself, go first."""
        return (
            self._settings.enabled and station.link.up and self._clock.trusted()
            and link_id not in self._asked and len(self._asked) < self._settings.reads_under_way
            and station.archive.caught_up and not station.commanding
        )

    def _ask(self, link_id: int, subnet: Subnet, station: Station, channels: Channels, picture: Picture) -> None:
        first_day, today = picture.first_day, self._today()
        skip = max(self.rebuilt_from, today - self._settings.depth_days) - first_day
        came = expected(np.zeros(1, dtype=np.int64), picture.newest, first_day, len(picture.lack))
        lack = picture.lack & came                          # what is newer than anything it sent comes by itself
        lack[:max(0, skip)] = 0
        packets, now, ledger = gaps.packets_by_node(station.mesh.parents()), self._clock.monotonic(), subnet.ledger
        room = ledger.room(packets, today, now)
        every = gaps.by_module(picture.lack, channels.index)
        read, wish = self.wishes.next(link_id, every, first_day, room)      # what a person asked for comes first
        if wish is None:
            read = gaps.next_read(gaps.by_module(lack, channels.index), first_day, ledger.ready(packets, today, now))
        if read is None:
            return
        read = ledger.affordable(read, packets)
        cost = gaps.cost_of(read, packets)
        ledger.charge(cost)
        if wish is not None:
            wish.sent(read)
            lack = picture.lack
        self.figures.reads += 1
        request = ArchRead(read.first, read.hours, sets.bitmap(read.modules), self._credit)
        chosen = np.isin(channels.index, read.modules)
        day = np.where(chosen, lack[read.day - first_day] & np.uint32(read.word), 0).astype(np.uint32)
        self._asked[link_id] = Asked(
            read, station, station.link.begin(request), day, cost, now + self._settings.answer_seconds, wish=wish
        )

    def _settle(self) -> None:
        """Reads that are over: who gave nothing is left alone for a while."""
        now = self._clock.monotonic()
        for link_id, asked in tuple(self._asked.items()):
            if self._stations.get(link_id) is not asked.station:
                del self._asked[link_id]                    # the link broke: that says nothing about the modules
                if asked.wish is not None:
                    asked.wish.give_back(asked.read)
                continue
            if asked.station.archive.answering:
                continue                                    # blocks of it are on their way to the disk
            subnet = self._subnets[link_id]
            channels = subnet.channels
            if channels is None or len(channels.index) != len(asked.lack):
                del self._asked[link_id]                    # the module list changed meanwhile
                continue
            slots = self._reader.slots(channels.eui, channels.channel)
            after = asked.lack & ~self.coverage.held(slots, asked.read.day, 1)[0]
            if not (asked.answered or now >= asked.deadline or not after.any()):
                continue
            del self._asked[link_id]
            brought = hours_in(asked.lack) - hours_in(after)
            self.figures.read_hours += brought
            if asked.wish is not None:
                asked.wish.brought(brought)
            if asked.busy >= 0 and not brought:
                self.figures.reads_busy += 1
                subnet.ledger.postpone(asked.cost, now + gaps.busy_for(asked.busy))
                if asked.wish is not None:
                    asked.wish.give_back(asked.read)
                continue
            self.figures.reads_empty += not brought
            before, then = (gaps.by_module(one[None, :], channels.index)[0] for one in (asked.lack, after))
            subnet.ledger.settle(asked.read, gaps.gained(asked.read, before, then), now)
            subnet.looked = float("-inf")                   # and on, with the next hole
            self._turn.remove(link_id)
            self._turn.appendleft(link_id)

    # ------------------------------------------------------------------ what a person asks for again
    def lacks(self, link_id: int, first: int, hours: int, modules: Mapping[int, str] | None) -> bool:
        """Whether anything is missing in some hours, as far as is known."""
        subnet = self._subnets.get(link_id)
        picture = subnet.picture if subnet else None
        if picture is None:
            return False
        lack = gaps.by_module(picture.lack, picture.channels.index)
        return bool(holes(lack, picture.first_day, first, hours, modules))

    def wish(self, link_id: int, recall: Recall, modules: Mapping[int, str] | None) -> Recall:
        """Queue it; the same answer with what lacks: 0 where nothing does, or nothing is known."""
        subnet = self._subnets.get(link_id)
        picture = subnet.picture if subnet else None
        if subnet is None or picture is None:
            return recall
        subnet.looked = float("-inf")
        lack = gaps.by_module(picture.lack, picture.channels.index)
        return self.wishes.add(link_id, recall, lack, picture.first_day, modules)

    def recalls(self) -> tuple[Recall, ...]:
        """From any thread, newest first."""
        return self.wishes.told({asked.wish for asked in tuple(self._asked.values())}, self._clock.seconds())

    # ------------------------------------------------------------------ who is expected
    def _channels(self, link_id: int, subnet: Subnet, station: Station | None) -> Channels:
        """As the concentrator lists them; of one that is not connected, as the registry knows them."""
        modules, directory = station.book.current if station else None, self._registry.directory
        if modules is not None and modules is not subnet.modules:
            subnet.modules = modules
            subnet.channels = self._owed([
                (one.index, one.eui, one.channels, not unheard(one, directory.module_of_eui.get(one.eui)))
                for one in modules.entries
            ])
        elif subnet.modules is None and directory is not subnet.directory:
            subnet.directory = directory
            found = directory.concentrator_of_link.get(link_id)
            places = [(found.name, index) for index in range(1, MAX_MODULES + 1)] if found else []
            mine = [directory.module_of_eui[directory.module_at[one]] for one in places if one in directory.module_at]
            subnet.channels = self._owed([(one.index, one.eui, one.channels, one.state in IN_SERVICE) for one in mine])
        return subnet.channels or self._owed([])

    def _owed(self, modules: list[tuple[int, int, int, bool]]) -> Channels:
        """Channels of (index, EUI, how many, whether it is there); who is there owes its hours from now on."""
        euis = np.array([eui for _, eui, _, _ in modules], dtype=np.uint64)
        self.owing.meet(euis[[there for *_, there in modules]] if modules else euis, self._clock.hour())
        return channels_of([row[:3] for row in modules], self.owing.since(euis))

    # ------------------------------------------------------------------ what is said
    def _tell_channels(self, link_id: int, subnet: Subnet, pulsing: NDArray[np.bool_]) -> None:
        """When something begins to count on a channel, or meters or modules change, the list is compared once more."""
        site, before = self._registry.directory.site, subnet.compared
        if not self.rebuilt:
            return
        same = before is not None and (before.meters is site.meters and before.modules is site.modules)
        if same and subnet.pulsing is not None and np.array_equal(subnet.pulsing, pulsing):
            return
        subnet.pulsing, subnet.compared = pulsing, site
        self._compare(link_id)

    def _give_up(self, link_id: int, subnet: Subnet, picture: Picture) -> None:
        """Days that the archive no longer reaches back to, each said once; the alarms know what they heard before."""
        if not self.rebuilt:
            return
        days = [day for day in picture.given_up_days if day > subnet.told]
        concentrator = self._registry.directory.concentrator_of_link.get(link_id)
        if not days or concentrator is None:
            return
        before, subnet.told = subnet.told, days[-1]
        hours = sum(hours_in(picture.lack[day - picture.first_day]) for day in days)
        now, code, day_ns = self._clock.now(), EventCode.HOURS_GIVEN_UP, DAY_H * HOUR_S * NS
        events = [DeviceEvent(concentrator.name, code, True, day * day_ns, True, day, received=now) for day in days]
        log.warn("{name}: {hours} hours of channels are beyond its archive's {depth} days and given up",
                 name=concentrator.name, hours=hours, depth=self._settings.depth_days)

        def failed(failure: Failure) -> None:
            subnet.told = before
            log.warn("{name}: given-up hours could not be told, again later: {why}",
                     name=concentrator.name, why=failure.getErrorMessage())

        def told(_: Any) -> None:
            self.figures.given_up_hours += hours

        self._tell_events(events).addCallbacks(told, failed)

    def _today(self) -> int:
        return self._clock.hour() // DAY_H
