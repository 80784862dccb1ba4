"""Where the packages meet: each asks for one of these and is handed it by `scada.app`.

Two kinds of method, told apart by what they return:

* a `Deferred`: call it in the reactor's thread; it never blocks;
* a plain value: thread-safe. Marked "memory" it may be called anywhere; marked "blocking" it reads a disk
  and must be called off the loop (from a WSGI thread, a worker thread or the command line).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred

from scada.cases import Case, CaseState, GroupState
from scada.commands import Actor, CommandStatus, GroupOrder, MemberReport, RetryOrder, Role, Selection, ShedRequest
from scada.concentrators import ConcentratorInfo, Parameters
from scada.dial import DialOutcome, DialReading, DialTable, Installation, Installed
from scada.errors import Problem
from scada.estimates import Estimate
from scada.events import DeviceEvent, KeptEvent, Stream
from scada.group_keys import GroupKeyState
from scada.intervals import (
    HOURLY,
    ChangeKind,
    IntervalBatch,
    IntervalBlock,
    IntervalChange,
    IntervalSeries,
    Mark,
    News,
    Provenance,
    Quarantined,
)
from scada.leaks import Leak, LeakNight, LeakState, Standby
from scada.network import NetworkFigures, Place
from scada.outage import Outage
from scada.phase_orders import Achieved, MoveState, OrderState, PhaseOrder
from scada.phase_study import Objective, PhaseStudy, Working
from scada.reads import ReadAnswer, ReadOrder, ReadReport, ReadRequest, ReadTask
from scada.replacement import Replaceable, ReplacementList
from scada.rollout import (
    CampaignRequest,
    CampaignStatus,
    DeviceReport,
    Image,
    Lack,
    StoredImage,
    UpdateFilter,
    UpdateStatus,
)
from scada.series import Buckets, How, Instant, Line
from scada.site import Directory, JoinedModule, Medium, MeshView, MeterTerms, Module, SiteChange, Step, Swap
from scada.supplies import Holding, Local, SupplyNews, SupplyOrder, SupplyRequest, SupplyStatus
from scada.tags import Batch, Device, Snapshot, TagDef

Unsubscribe = Callable[[], None]
Job = TypeVar("Job")
Answer = TypeVar("Answer")


# --------------------------------------------------------------------------------------------- live values
class TagSink(Protocol):
    """Where drivers and analytics put live values (reactor thread only)."""

    def add_device(self, device: Device) -> None:
        """Make a device's tags known; the same name again replaces its definition and keeps its values.

        A name that another part holds is refused: counted and logged, never an exception.
        """

    def publish(self, batch: Batch) -> None:
        """Take one device's values; never blocks, never raises: what is of no device or shape of its own is counted."""

    def disconnected(self, device: str) -> None:
        """The driver lost the device: keep the values, mark them BAD_NOT_CONNECTED now."""


class TagSource(Protocol):
    """Where everybody else reads live values."""

    def snapshot(self) -> Snapshot:
        """Every tag at one instant. Memory."""

    def devices(self) -> Mapping[str, Device]:
        """Known devices by name. Memory."""

    def subscribe(self, listener: Callable[[Sequence[Batch]], None], *, name: str, bound: int = 10_000) -> Unsubscribe:
        """Get batches in order, a list per loop turn (reactor thread); beyond `bound` the oldest go, and are counted."""

    def on_devices(self, listener: Callable[[Device], None]) -> Unsubscribe:
        """Hear of every device that is added or redefined (reactor thread)."""


# ------------------------------------------------------------------------------------------------- history
class Following(Protocol):
    """A follower's place in the news of an interval store (reactor thread)."""

    @property
    def days(self) -> int:
        """How many days are left of what is older, behind what was handed out last."""

    def older(self) -> "Deferred[News | None]":
        """A piece of what was merged before he came, a month at most; None = that is all of it.

        Marks of it are of whole blocks and days, so of more than what changed. Fails with `StorageError`.
        """

    def dealt(self, news: News) -> None:
        """What was made of it is durable, and of whatever was handed out before it in the same way."""

    def stop(self) -> None:
        """Hear no more."""


class IntervalStore(Protocol):
    """The durable store of interval data (reactor thread)."""

    def commit(self, block: IntervalBlock) -> "Deferred[Mark]":
        """Fires after the block is on disk (journal fsync); only then may the field be acknowledged.

        Idempotent by (EUI, channel, interval). Fails with `StorageError`, and then nothing may be acknowledged.
        """

    def commit_batch(self, batch: IntervalBatch) -> "Deferred[NDArray[np.int64]]":
        """The same for many blocks, all or nothing; fires with the slot of every row."""

    def quarantine(self, block: Quarantined) -> "Deferred[None]":
        """Keep an unusable block durably with its reason; then its record may be acknowledged too."""

    def pass_gap(self, provenance: Provenance, received: int) -> "Deferred[None]":
        """The concentrator holds no record below `provenance.record` any more: the cursor passes, durably and counted."""

    def cursor(self, link_id: int, archive_id: int) -> int:
        """Highest archive record durably committed, without gap; 0 if none. Memory."""

    def subscribe(self, listener: Callable[[Mark], None]) -> Unsubscribe:
        """Hear of every commit after it is readable (reactor thread); for who looks at everything when he begins."""

    def follow(self, name: str, listener: Callable[[News], None]) -> Following:
        """The same for who does not: his place is kept under his name, until he has dealt with what changed.

        Whatever becomes of the process, and whoever merged it: a crash, an import or a repair keeps nothing from him.
        """

    def since(self) -> int | None:
        """No interval is held before this hour; None = none at all. Blocking."""


class IntervalReader(Protocol):
    """Reads what `IntervalStore` holds. Blocking."""

    def slots(self, eui: NDArray[np.uint64], channel: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Permanent slots, (n,); -1 where the channel was never seen. Memory."""

    def slot_bound(self) -> int:
        """Every slot is below this number. Memory."""

    def channels(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
        """The way back: (EUI, channel) of slots. Memory."""

    def read(self, slots: NDArray[np.int64], first_hour: int, hours: int) -> IntervalSeries:
        """Hourly pulses of (n,) slots, in the order asked; MISSING where nothing is held."""

    def register(self, slots: NDArray[np.int64], hour: int) -> NDArray[np.int64]:
        """Register (pulses) at the start of `hour`: nearest earlier base plus the pulses since; MISSING if unknown."""


class IntervalHistory(IntervalReader, Protocol):
    """Also what was held before. Blocking."""

    def as_of(self, instant: int) -> "IntervalHistory":
        """The same as it was known at `instant` [ns]; what came before arrivals were noted counts as always known."""

    def read_intervals(
        self, slots: NDArray[np.int64], first: int, intervals: int, interval_s: int
    ) -> IntervalSeries:
        """Intervals as they were delivered, of one length [s], from interval number `first`; others are MISSING."""

    def changes(self, slot: int, first_hour: int, hours: int) -> tuple[IntervalChange, ...]:
        """How the intervals of one channel came to what they say, the oldest change first."""


@attrs.frozen(eq=False)
class TagHistory:
    """Raw samples of one tag, oldest first."""

    at: NDArray[np.int64]               # ns, source clock
    values: NDArray[np.float64]
    quality: NDArray[np.uint8]
    held: NDArray[np.int64] | None = None       # ns a sample stands at most, by its dead-band; None: there never was one


class LiveReader(Protocol):
    """Reads the history of live tags. Blocking."""

    def read(self, tag: str, first: int, last: int, limit: int = 100_000) -> TagHistory:
        """Samples with first <= at < last [ns], oldest first, at most `limit` (the newest ones)."""

    def at(self, tags: Sequence[str], instant: int, back: int) -> Instant:
        """The newest sample of each tag at or before `instant` [ns], as it was said then, none older than `back` [ns]."""


class History(Protocol):
    """Long ranges in few values, with quality and completeness. Blocking.

    A name with a slash is a tag, any other a metering point, whose hours are in the unit of its medium; unknown points
    raise `KeyError`, a tag of which nothing was kept is a series without samples.
    """

    def resample(self, name: str, edges: NDArray[np.int64], how: How) -> Buckets:
        """One series in the steps between `edges` [ns]; a point's steps are whole hours, told by the answer's edges.

        Of a tag with a dead-band each sample stands until the next one; its sum is a `ValueError`.
        """

    def line(self, name: str, first: int, last: int, points: int, silence: int = 0) -> Line:
        """At most `points` (6 or more) samples of [first, last) [ns] to draw, the lowest and the highest among them.

        A tag silent beyond `silence` [ns] breaks the line; 0 = it may be silent for ever.
        """

    def registers(self, points: Sequence[str], hour: int, as_of: int | None = None) -> Instant:
        """Registers of many points at the start of `hour`, in each one's unit; with `as_of` [ns] as known then."""

    def group_sums(self, groups: Sequence[str], first_hour: int, hours: int, as_of: int | None = None) -> "GroupSums":
        """What the members of balance groups took together, hour by hour; unknown groups raise `KeyError`."""


@attrs.frozen(eq=False)
class ResultTable:
    """Rows of results, oldest first; one column per quantity, NaN where a row has none."""

    start: NDArray[np.int64]            # s since 1970, start of the interval
    columns: Mapping[str, NDArray[np.float64]]


def measured(table: ResultTable, name: str) -> NDArray[np.float64]:
    """A column of balances where nothing is estimated, NaN elsewhere: what nobody measured accuses nobody."""
    column = table.columns[name]
    return np.where(table.columns["estimated"] > 0, np.nan, column) if "estimated" in table.columns else column


class Estimates(Protocol):
    """Validated hours, beside the delivered ones. Blocking."""

    def standing(
        self, points: Sequence[str], first_hour: int, hours: int, as_of: int | None = None
    ) -> tuple[Estimate, ...]:
        """Those that count, one an hour at most; with `as_of` [ns] as they counted then."""

    def history(self, point: str, first_hour: int, hours: int) -> tuple[Estimate, ...]:
        """All that were ever entered, in their order."""

    def after(self, number: int, most: int) -> tuple[int, tuple[tuple[str, int], ...]]:
        """
        News for who has heard of all up to `number`: the number up to which he has now, and (point, hour) of each.

        At most `most`; whoever enters something adds, also to take back. A number that was never given begins at the first.
        """


@attrs.frozen(eq=False)
class ResultRows:
    """Rows of several series, those of a series together and ascending."""

    names: tuple[str, ...]
    which: NDArray[np.int64]            # (n,) of whose series each row is: a place in `names`, ascending
    table: ResultTable                  # (n,) the rows

    @classmethod
    def joined(cls, names: Sequence[str], tables: Sequence[ResultTable]) -> "ResultRows":
        """A table of each series as one; what a table has no column for is NaN."""
        sizes = [len(one.start) for one in tables]
        columns = dict.fromkeys(name for one, size in zip(tables, sizes, strict=True) if size for name in one.columns)
        joined = {
            name: np.concatenate([one.columns.get(name, np.full(len(one.start), np.nan)) for one in tables])
            for name in columns
        }
        start = np.concatenate([np.empty(0, np.int64), *(one.start for one in tables)])
        return cls(tuple(names), np.repeat(np.arange(len(sizes)), sizes), ResultTable(start, joined))

    def of(self, place: int) -> ResultTable:
        """Those of one series."""
        first, last = np.searchsorted(self.which, (place, place + 1)).tolist()
        columns = {name: column[first:last] for name, column in self.table.columns.items()}
        return ResultTable(self.table.start[first:last], columns)


class ResultStore(Protocol):
    """Keeps what analytics computed (balances, group sums); versioned: a later put of the same row replaces it."""

    def put(self, kind: str, name: str, span_s: int, table: ResultTable) -> "Deferred[None]":
        """Store rows of one series, durably."""

    def put_many(self, kind: str, span_s: int, rows: ResultRows) -> "Deferred[None]":
        """Store rows of several series, all or none of them, durably."""

    def get(
        self, kind: str, name: str, span_s: int, first: int, last: int, as_of: int | None = None
    ) -> ResultTable:
        """Rows with first <= start < last [s]; with `as_of` [ns] as they were known then. Blocking.

        Raises `NotKept` where it is not kept so long how they were known.
        """

    def get_many(
        self, kind: str, names: Sequence[str], span_s: int, first: int, last: int, as_of: int | None = None
    ) -> ResultRows:
        """The same of several series, each named once. Blocking."""


@attrs.frozen
class EventsWanted:
    """Which events; what is empty chooses nothing."""

    first: int                          # ns since 1970
    last: int                           # ns, not included
    devices: tuple[str, ...] | None = None      # with their tags and channels
    sources: tuple[str, ...] | None = None      # tags, channels or devices, those alone
    kinds: tuple[str, ...] | None = None
    streams: tuple[Stream, ...] | None = None
    before: tuple[int, int] | None = None       # `EventPage.older` of the page before
    size: int = 100


@attrs.frozen
class EventPage:
    """Events, newest first."""

    events: tuple[KeptEvent, ...]
    older: tuple[int, int] | None               # where the next page begins; None: there is none


class EventHistory(Protocol):
    """What devices and alarms said, for as long as history is kept."""

    def find(self, wanted: EventsWanted) -> EventPage:
        """Newest first by `KeptEvent.moment`. Blocking."""


@attrs.frozen
class Offers:
    """What a kind of history backend holds and how, said before it is asked; for the rest it fails with `NotOffered`."""

    registers: bool                     # else pulses alone
    results: bool
    merges: bool                        # the first pulses stay, status bits are joined; else the last delivery stands
    resolution: int                     # of the times of live samples. [ns]
    pulses_most: int                    # the largest number of pulses that comes back as it was


class Historian(Protocol):
    """
    One place where history is kept, whatever its files or its server are called. Blocking, for one thread.

    Channels are named as the field names them, for slots are a matter of the embedded store alone. Everything but `close`
    fails with `StorageError` while the place cannot be had, in a sentence that names it and no secret.
    """

    @property
    def offers(self) -> Offers:
        """Memory."""

    def write(self, blocks: Sequence[IntervalBlock]) -> None:
        """Durable, and readable, when it returns; the same again is once. `DataRejected`: some of it can never be kept."""

    def write_tag(self, tag: str, samples: TagHistory) -> None:
        """The same for samples of a live tag."""

    def write_results(self, kind: str, name: str, span_s: int, table: ResultTable) -> None:
        """The same for results; a row that is held already is replaced."""

    def intervals(
        self, eui: NDArray[np.uint64], channel: NDArray[np.uint8], first: int, count: int, interval_s: int = HOURLY
    ) -> IntervalSeries:
        """Pulses of n channels, in the order asked, as they were delivered; MISSING where nothing is held."""

    def registers(self, eui: NDArray[np.uint64], channel: NDArray[np.uint8], hour: int) -> NDArray[np.int64]:
        """As `IntervalReader.register`."""

    def tag(self, tag: str, first: int, last: int, limit: int = 100_000) -> TagHistory:
        """As `LiveReader.read`."""

    def results(self, kind: str, name: str, span_s: int, first: int, last: int) -> ResultTable:
        """As `ResultStore.get`."""

    def close(self) -> None:
        """Give back what is open; may be called again."""


# ------------------------------------------------------------------------------------------------ registry
class GroupKeys(Protocol):
    """Which members hold their group's key; the driver implements it."""

    def group_keys(self, name: str) -> GroupKeyState | None:
        """How far the key of a load group has come; None for a group that is not. Memory, and the size of the group."""


class Registry(Protocol):
    """What exists. `directory` is the current content; changes come through the methods."""

    @property
    def directory(self) -> Directory:
        """The registry at this instant; replaced as a whole on change. Memory."""

    def subscribe(self, listener: Callable[[Directory], None]) -> Unsubscribe:
        """Hear of every change (reactor thread)."""

    def module_joined(self, modules: Sequence[JoinedModule]) -> "Deferred[tuple[Module, ...]]":
        """Enter modules the field announced: as discovered, or active where the concentrator adopts automatically."""

    def adopt(self, actor: Actor, eui: int) -> "Deferred[Module]":
        """An engineer adopts a discovered module. Fails with `CommandRejected`."""

    def commission(self, actor: Actor, eui: int) -> "Deferred[Module]":
        """A person begins to put a planned or discovered module into service. Fails with `CommandRejected`."""

    def retire(self, actor: Actor, eui: int) -> "Deferred[Module]":
        """A module without meters leaves service for good. Fails with `CommandRejected`."""

    def swap(self, actor: Actor, swap: Swap) -> "Deferred[Module]":
        """Another module or meter in the place of one; answers the new module. Fails with `CommandRejected`."""

    def step(self, actor: Actor, step: Step) -> "Deferred[Module]":
        """Any of these, or the move to another concentrator; again is once. Fails with `CommandRejected`."""

    def preview(self, actor: Actor, wish: Swap | Step) -> "Deferred[SiteChange]":
        """What a swap or a step would change; changes nothing. Fails with `CommandRejected`."""
    def install(self, actor: Actor, wish: Installation) -> "Deferred[Installed]":
        """Put a meter into service with the reading of its dial. Fails with `CommandRejected` naming every reason."""

    def add_dials(
        self, actor: Actor, readings: Sequence[DialReading], *, correct: bool = False
    ) -> "Deferred[DialOutcome]":
        """Enter readings of dials, all or none. Fails with `CommandRejected`."""

    def set_terms(self, actor: Actor, terms: MeterTerms) -> "Deferred[None]":
        """What meters of a medium cost and how they fail. Fails with `CommandRejected` naming every reason."""

    @property
    def dials(self) -> "DialStore":
        """What was read off dials."""

    def set_module_states(self, states: Mapping[int, str]) -> "Deferred[None]":
        """Life-cycle news from the field (lost, back again), by EUI; one change however many they are."""


class DialStore(Protocol):
    """Readings of dials. Blocking."""

    def newest(self) -> int:
        """Number of the newest reading; 0 while there is none."""

    def after(self, number: int, size: int = 100_000) -> tuple[DialReading, ...]:
        """Readings above a number, in their order; of one point and instant the later one counts."""

    def of_point(self, point: str, size: int = 50) -> tuple[DialReading, ...]:
        """Of one point, newest first."""

    def recent(self, size: int = 50) -> tuple[DialReading, ...]:
        """Installations, newest first."""


@attrs.frozen
class AuditRow:
    number: int
    at: int                             # ns, real UTC time
    actor: str
    origin: str
    action: str                         # "login", "shed.execute", "alarm.acknowledge", "module.adopt" …
    target: str
    detail: str                         # one line of JSON
    digest: str                         # hex; chained with the row before


class Audit(Protocol):
    """Append-only, hash-chained record of every command, acknowledgement, login and change."""

    def append(self, actor: Actor, action: str, target: str = "", **detail: Any) -> "Deferred[None]":
        """Fires when the row is durable."""

    def append_now(self, actor: Actor, action: str, target: str = "", **detail: Any) -> None:
        """The same, for threads. Blocking."""

    def page(self, before: int | None = None, size: int = 50, action: str = "") -> tuple[AuditRow, ...]:
        """Newest first, rows numbered below `before`. Blocking."""

    def verify(self) -> int | None:
        """Number of the first row whose chain is broken; None if all hold. Blocking."""


@attrs.frozen
class Account:
    name: str
    role: Role
    areas: tuple[str, ...] = ()
    language: str = ""                  # of the pages; "" = the site's
    disabled: bool = False
    must_change: bool = False           # one-time password still in use


class Users(Protocol):
    """Who may come in."""

    def authenticate(self, name: str, password: str, address: str = "") -> Account | None:
        """The account, or None; takes the same time either way. Blocking.

        Raises `TooManyTries` after too many of one name at one address, or, at a much higher number, of one name.
        """

    def accounts(self) -> tuple[Account, ...]:
        """Every account. Blocking."""

    def account(self, name: str) -> Account | None:
        """One account. Blocking."""

    def set_password(self, name: str, password: str, *, must_change: bool = False) -> None:
        """Blocking; raises `CommandRejected` for a password that is too weak."""

    def set_language(self, name: str, language: str) -> None:
        """Blocking."""

    def credentials(self) -> tuple[tuple[str, str, Role, tuple[str, ...]], ...]:
        """(name, argon2 hash, role, areas) of enabled accounts without a one-time password.

        For a process of ours that must check passwords itself (OPC UA). Blocking.
        """


# ---------------------------------------------------------------------------------------------- the field
class FieldGateway(Protocol):
    """The last frame to the field; implemented by the D-Mesh driver, held by the desk alone (reactor thread)."""

    def send(self, order: GroupOrder) -> "Deferred[None]":
        """Fires when the concentrator has accepted the order; fails with `LinkError` or `CommandRejected`."""

    def sign(self, order: GroupOrder) -> "Deferred[Any]":
        """Make what is the same for all concentrators of an order's command, before the first of them is told.

        Fails with `CommandRejected`; then each order fails by itself and says why.
        """

    def prepare(self, link_id: int, group: int, epoch: int, members: Sequence[tuple[int, int]]) -> "Deferred[Any]":
        """Let a concentrator know who is in a group, and its key: nothing is switched, and an order is sooner there.

        Fails with `LinkError` or `CommandRejected`; then the order does it itself.
        """

    def inquire(self, command_id: bytes, link_id: int) -> "Deferred[bool]":
        """Ask a concentrator what became of a command; True if it knows it (reports follow), False if it never came.

        Fails with `LinkError` while the link is down: ask again when it is up.
        """

    def retry(self, order: RetryOrder) -> "Deferred[bool]":
        """Have a command that the concentrator holds repeated to its silent members; False if it does not know it.

        Fails with `LinkError` or `CommandRejected`; then nothing is known to have been said again.
        """

    def link_up(self, link_id: int) -> bool:
        """Memory."""

    def boot(self, link_id: int) -> int:
        """Number of the concentrator's present start, as it says; 0 while the link is down. Memory.

        One that has started anew may have forgotten a command that its modules have heard.
        """

    def on_report(self, listener: Callable[[Sequence[MemberReport]], None]) -> Unsubscribe:
        """Hear what became of members."""

    def on_link(self, listener: Callable[[int, bool], None]) -> Unsubscribe:
        """Hear of links going up and down."""


class SupplyGateway(Protocol):
    """The last frame to one supply; implemented by the D-Mesh driver, held by the supply service alone (reactor thread)."""

    def obstacle(self, link_id: int, index: int, eui: int) -> "Deferred[str]":
        """What keeps a command to this module from leaving now, and may pass ("" = nothing); makes ready what it can.

        Fails with `LinkError` while the link is down, with `CommandRejected` where it will never be possible.
        """

    def switch_supply(self, order: SupplyOrder) -> "Deferred[None]":
        """Fires when the concentrator has accepted the order; fails with `LinkError` or `CommandRejected`."""

    def inquire(self, command_id: bytes, link_id: int) -> "Deferred[bool]":
        """As of `FieldGateway`."""

    def link_up(self, link_id: int) -> bool:
        """Memory."""

    def on_report(self, listener: Callable[[Sequence[MemberReport]], None]) -> Unsubscribe:
        """Hear what became of commands; executed with the reason HELD: somebody else in the module keeps the supply off."""

    def on_link(self, listener: Callable[[int, bool], None]) -> Unsubscribe:
        """Hear of links going up and down."""


class FieldReader(Protocol):
    """Reading on demand at the concentrators; implemented by the D-Mesh driver (reactor thread)."""

    def read_now(self, order: ReadOrder) -> "Deferred[ReadAnswer]":
        """Fires with what the concentrator says to it; fails with `LinkError` where that cannot be known.

        Asking again under the same read id starts nothing where it was heard, and repeats what there is so far.
        """

    def on_readings(self, listener: "Callable[[ReadReport], Deferred[None]]") -> Unsubscribe:
        """Hear the results; a part is acknowledged to the field when every listener's Deferred has fired."""

    def link_up(self, link_id: int) -> bool:
        """Memory."""

    def on_link(self, listener: Callable[[int, bool], None]) -> Unsubscribe:
        """Hear of links going up and down."""

    def travel(self, link_id: int) -> Mapping[int, float]:
        """Mean travel times between the modules of a concentrator and itself, by EUI, as last reported. [s] Memory."""


class MeshMonitor(Protocol):
    """The radio network as it reports itself."""

    def views(self) -> tuple[MeshView, ...]:
        """One per concentrator of the registry. Memory."""

    def view(self, concentrator: str) -> MeshView | None:
        """Of one concentrator of the registry, by name. Memory."""

    def on_mesh(self, listener: Callable[[str], None]) -> Unsubscribe:
        """Hear which concentrator's mesh was reported anew, or whose link went up or down (reactor thread)."""


class NetworkMonitor(Protocol):
    """What is made of the reports: figures of the present, and who was whose parent when."""

    def figures(self, concentrator: str) -> NetworkFigures | None:
        """Of the last report; None while there was none. Memory."""

    def tree(self, concentrator: str, at: int) -> tuple[Place, ...]:
        """The tree as it was known at an instant [ns], in the order of the subnet indices. Blocking."""

    def through(self, concentrator: str, moments: Mapping[int, int]) -> Mapping[int, int]:
        """Whom modules sent through when they were last in the tree before an instant [ns] of their own, by EUI.

        The EUI of the relay, 0 = the concentrator; without those of whom nothing is known. Blocking; raises `StorageError`.
        """

    def moments(self, concentrator: str) -> tuple[int, ...]:
        """The instants at which the tree changed [ns], newest first, a few hundred at most. Blocking."""

    def places(self, eui: int, size: int = 50) -> tuple[tuple[str, Place], ...]:
        """Where a module stood, newest first, with the concentrator. Blocking."""


@attrs.frozen
class ModuleClock:
    """The clock of one module, against its concentrator's."""

    eui: int                            # 0 where the list of modules did not come yet
    index: int
    offset_s: float                     # positive: ahead
    drift_ppm: float                    # NaN while too few reports came
    heard: int                          # ns, site time
    beyond: bool                        # beyond tolerance


@attrs.frozen
class ClockView:
    """The clocks of one subnet."""

    concentrator: str
    link_up: bool
    offset_s: float                     # concentrator's against ours, when last compared; positive: ahead
    within_s: float                     # what that comparison leaves open
    drift_ppm: float                    # NaN in the first hours
    compared: int                       # ns, site time; 0: never
    mode: str                           # how it was set last: "step", "slew", "" = not yet
    steps: int                          # since start
    modules: int                        # whose clock is known
    beyond: int                         # of them beyond tolerance
    worst: tuple[ModuleClock, ...]      # the worst first


class TimeMonitor(Protocol):
    def clocks(self, concentrator: str) -> ClockView | None:
        """Of one concentrator of the registry, by name. Memory."""


@attrs.frozen(eq=False)
class CollectionView:
    """What is held of a concentrator's channels: (n, h) hours from `first` on."""

    index: NDArray[np.int64]            # (n,) subnet index of the channel's module
    first: int                          # h since 1970
    wanted: NDArray[np.bool_]           # (n, h) due by now
    lacking: NDArray[np.bool_]          # (n, h) of them those not held
    given_up: int                       # what lacks before this hour is not asked for any more


@attrs.frozen(eq=False)
class CollectionSummary:
    """How one concentrator, or one balance group, stands, in channel-hours."""

    name: str
    edges: tuple[int, ...]              # where each of the last site days begins, and where today ends [h since 1970]
    due: NDArray[np.int64]              # (days,) today last
    lacking: NDArray[np.int64]          # (days,) of them those not held
    shares: tuple[float, ...]           # held of today, yesterday, 7 and 30 days, 0-1; NaN where nothing is due
    missing: int                        # still asked for
    given_up: int                       # in the last week
    given_up_before: int                # what lacks before this hour is not asked for any more
    oldest: int                         # oldest missing hour; -1: none
    link_up: bool | None = None         # None: a group has no link
    spent: int = 0                      # packets that asking has cost the busiest module today
    budget: int = 0
    busy_s: float = 0.0                 # real time for which the concentrator asked to be left alone


class RecallState(StrEnum):
    """Of a gap that a person asked for again."""

    WAITING = "waiting"
    ASKING = "asking"
    DONE = "done"
    EXPIRED = "expired"


@attrs.frozen
class Recall:
    """A person asked for a gap again."""

    number: int                         # since start
    concentrator: str
    modules: tuple[str, ...]            # empty: all of the concentrator
    first: int                          # h since 1970
    hours: int
    lacking: int                        # hours of modules that lacked when it was asked for
    brought: int                        # channel-hours that came
    by: str
    at: int                             # s, site time
    until: int                          # s, site time: what did not come by then is not asked for any more
    state: RecallState = RecallState.WAITING


class CollectionMonitor(Protocol):
    def collection(self, concentrator: str) -> CollectionView | None:
        """None where nothing is known yet. Memory."""

    def summaries(self) -> tuple[CollectionSummary, ...]:
        """Of all concentrators of the registry of which something is known. Memory."""

    def group_summaries(self) -> tuple[CollectionSummary, ...]:
        """Of balance groups, as they were when last looked at. Memory."""

    def ask_again(
        self, actor: Actor, concentrator: str, modules: Sequence[str], first: int, hours: int
    ) -> "Deferred[Recall]":
        """Fires when it is audited and queued; fails with `CommandRejected`, all reasons at once. Reactor thread."""

    def recalls(self) -> tuple[Recall, ...]:
        """What was asked for again since start, newest first, a few hundred at most. Memory."""


# --------------------------------------------------------------------------------------- walk-by collection
@attrs.frozen
class WalkbyConflict:
    """Two different values for one thing; the one that was here first stays."""

    file: str
    eui: int
    module: str                         # "" where the registry does not know the EUI
    channel: int
    hour: int                           # h since 1970
    kind: str                           # "pulses" or "register"
    held: int
    given: int


@attrs.frozen
class WalkbyReport:
    """What files of the hand-held collector hold, against what is here."""

    files: tuple[str, ...]
    modules: int                        # different EUIs
    hours: int                          # channel-hours given
    new: int                            # of them not held so far
    known: int                          # held with the same value
    conflicting: int                    # held with another value, and registers likewise
    conflicts: tuple[WalkbyConflict, ...]   # the first of them
    unknown: tuple[int, ...]            # EUIs that the registry does not know; their data are kept too
    problems: tuple[Problem, ...]       # rows and records that cannot be used
    stored: bool = False


@attrs.frozen(eq=False)
class WalkbyExamination:
    """Read and compared, not stored yet."""

    report: WalkbyReport
    blocks: tuple[IntervalBlock, ...]   # what has news for the store


class WalkbyImport(Protocol):
    def examine(self, files: Sequence[tuple[str, bytes]]) -> WalkbyExamination:
        """Read files (name, content) and compare them with what is held. Blocking."""

    def store(self, actor: Actor, examined: WalkbyExamination) -> "Deferred[WalkbyReport]":
        """Audit it and make it durable; fails with `StorageError`, and may then be repeated."""


class EventSource(Protocol):
    def on_events(self, listener: "Callable[[Sequence[DeviceEvent]], Deferred[None]]") -> Unsubscribe:
        """Events are acknowledged to the field when every listener's Deferred has fired."""


class FirmwareGateway(Protocol):
    """Firmware on its way to the modules of one concentrator; implemented by the D-Mesh driver (reactor thread).

    Modules are named by EUI: the driver knows which index each has now. Those that are not in the subnet are left out.
    What is asked or sent answers with the name of a result code ("OK", "ACCEPTED", "DUPLICATE", "CRYPTO" …), or fails with
    `LinkError`; nothing is repeated by itself.
    """

    def read_manifest(self, manifest: bytes) -> Image:
        """What a manifest says, whoever signed it; raises `CommandRejected` where it cannot be read. Any thread."""

    def obstacle(self, link_id: int) -> str | None:
        """Why nothing may be sent now ("" = the link is free): down, or more urgent work is under way. Memory.

        None: this concentrator cannot take firmware at all.
        """

    def ask(self, link_id: int) -> "Deferred[None]":
        """How its devices stand; fires when all reports were told to the listeners."""

    def offer(self, link_id: int, manifest: bytes, signature: bytes, modules: Iterable[int]) -> "Deferred[str]":
        """A `Lack` follows."""

    def block(self, link_id: int, image: bytes, number: int, data: bytes) -> "Deferred[str]": ...

    def verify(self, link_id: int, image: bytes, modules: Iterable[int]) -> "Deferred[str]": ...

    def activate(self, link_id: int, image: bytes, modules: Iterable[int]) -> "Deferred[str]": ...

    def on_firmware(self, listener: Callable[[Sequence[DeviceReport] | Lack], None]) -> Unsubscribe:
        """Hear what devices say."""

    def on_link(self, listener: Callable[[int, bool], None]) -> Unsubscribe:
        """Hear of links going up and down."""


class Firmware(Protocol):
    """Campaigns (reactor thread, but where it says otherwise). What is refused fails with `CommandRejected`."""

    def images(self) -> tuple[StoredImage, ...]:
        """Newest first. Blocking."""

    def campaigns(self) -> tuple[CampaignStatus, ...]:
        """Newest first. Memory."""

    def campaign(self, number: int) -> CampaignStatus | None:
        """Memory."""

    def updates(self, number: int, wanted: UpdateFilter) -> tuple[tuple[UpdateStatus, ...], int]:
        """A part of a campaign's modules, and how many fit the filter. Looks at each: off the loop. Any thread."""

    def draft(self, actor: Actor, request: CampaignRequest) -> "Deferred[CampaignStatus]":
        """Freeze a selection of modules; nothing is sent."""

    def start_canary(self, actor: Actor, number: int) -> "Deferred[CampaignStatus]":
        """Persisted and audited before anything leaves."""

    def approve(self, actor: Actor, number: int) -> "Deferred[CampaignStatus]":
        """A second person opens the way beyond the canary."""

    def pause(self, actor: Actor, number: int, why: str) -> "Deferred[CampaignStatus]": ...

    def resume(self, actor: Actor, number: int, *, retry: bool) -> "Deferred[CampaignStatus]":
        """Go on; the failures so far are forgiven, and with `retry` those modules try again."""

    def abort(self, actor: Actor, number: int, why: str) -> "Deferred[CampaignStatus]": ...


# -------------------------------------------------------------------------------------------------- desk
class Desk(Protocol):
    """The one door for commands (reactor thread)."""

    @property
    def monitor_only(self) -> bool:
        """True: everything but the last frame. Memory."""

    def select(self, actor: Actor, request: ShedRequest) -> "Deferred[Selection]":
        """Freeze and check a selection for review; fails with `CommandRejected` naming every reason."""

    def execute(self, actor: Actor, selection_id: str) -> "Deferred[CommandStatus]":
        """Run a reviewed selection once; a repeat of the same id answers the same command."""

    def restore(self, actor: Actor, command_id: str) -> "Deferred[CommandStatus]":
        """Give the supply back early."""

    def command(self, command_id: str) -> CommandStatus | None:
        """Memory."""

    def commands(self, limit: int = 50) -> tuple[CommandStatus, ...]:
        """Newest first. Memory."""

    def subscribe(self, listener: Callable[[CommandStatus], None]) -> Unsubscribe:
        """Hear of every change of a command (reactor thread)."""


class Concentrators(Protocol):
    """One concentrator itself (reactor thread). Every question fails with `CommandRejected` naming every reason.

    Whatever changes something is audited before it is sent, and refused in monitor-only mode.
    """

    def info(self, name: str) -> "Deferred[ConcentratorInfo]":
        """As it answers now."""

    def parameters(self, name: str) -> "Deferred[Parameters]":
        """All it has."""

    def set_parameters(
        self, actor: Actor, name: str, base: int, values: Mapping[str, int | str]
    ) -> "Deferred[Parameters]":
        """All of them or none; refused where `base` is not its version any more."""

    def reboot(self, actor: Actor, name: str, *, module: str = "", delay_s: int = 0) -> "Deferred[None]":
        """The concentrator, or one of its modules."""

    def discover(self, actor: Actor, name: str, duration_s: int) -> "Deferred[None]":
        """Let newcomers join for so long [real s]; 0 ends it."""

    def cancel(self, actor: Actor, name: str, command_id: str) -> "Deferred[None]":
        """End the repeats of a broadcast."""


class LocalSay(Protocol):
    """Where the say is on site: what is in local is not switched from here."""

    def locals(self) -> tuple[Local, ...]:
        """Memory."""


class Supplies(LocalSay, Protocol):
    """Disconnection and reconnection of single supplies (reactor thread, but where it says otherwise).

    Whatever a person asks for is audited; what is refused fails with `CommandRejected` naming every reason.
    """

    def supplies(self) -> tuple[SupplyStatus, ...]:
        """Every supply of the registry, in its order. Memory."""

    def supply(self, point: str) -> SupplyStatus | None:
        """Memory."""

    def history(self, point: str, before: int | None = None, size: int = 50) -> tuple[SupplyNews, ...]:
        """Newest first, numbered below `before`. Blocking."""

    def request(self, actor: Actor, request: SupplyRequest) -> "Deferred[SupplyStatus]":
        """Ask for a switch: it is kept, and waits for a second person. Nothing is sent."""

    def confirm(self, actor: Actor, point: str, switch_id: str) -> "Deferred[SupplyStatus]":
        """The second person: fires when the switch is on disk and is about to be sent; follow it with `subscribe`."""

    def withdraw(self, actor: Actor, point: str, switch_id: str) -> "Deferred[SupplyStatus]":
        """Take back a request that still waits."""

    def hold(self, actor: Actor, point: str, holding: Holding) -> "Deferred[SupplyStatus]":
        """One more who holds a supply that is off; `id`, `by` and `at` of the holding are not looked at."""

    def release(
        self, actor: Actor, point: str, holding_id: str, *, tag: str = "", name: str = "", note: str = ""
    ) -> "Deferred[SupplyStatus]":
        """One less; the supply does not return by it."""

    def set_local(self, actor: Actor, *, point: str = "", area: str = "", local: bool, note: str = "") -> "Deferred[None]":
        """Say that a point, or a whole area, is switched on site alone; or from here again."""

    def subscribe(self, listener: Callable[[SupplyStatus], None]) -> Unsubscribe:
        """Hear of every change of a supply (reactor thread)."""


# ------------------------------------------------------------------------------------------------- reading
class Reading(Protocol):
    """Reading on demand (reactor thread)."""

    def request(self, actor: Actor, request: ReadRequest) -> "Deferred[ReadTask]":
        """Fires when the task is durable; the same key of the same person answers the same task.

        Fails with `CommandRejected` naming every reason.
        """

    def cancel(self, actor: Actor, task_id: str) -> "Deferred[ReadTask]":
        """Wait for it no longer; what modules answer to an order that has left is acknowledged and dropped."""

    def task(self, task_id: str) -> ReadTask | None:
        """Memory."""

    def tasks(self, limit: int = 50) -> tuple[ReadTask, ...]:
        """Newest first. Memory."""

    def subscribe(self, listener: Callable[[ReadTask], None]) -> Unsubscribe:
        """Hear of every change of a task (reactor thread)."""


# ------------------------------------------------------------------------------------------------- alarms
class AlarmState(StrEnum):
    """ISA-18.2 states used so far."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"               # back to normal, not yet acknowledged


class Priority(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@attrs.frozen
class Alarm:
    id: str                             # "<source>:<kind>", stable: one record per condition
    source: str                         # tag id or device name
    kind: str                           # "high", "low_low", "stale", "magnet", "open_circuit", "battery_low" …
    priority: Priority
    state: AlarmState
    raised: int                         # ns, site time of the last raise
    changed: int                        # ns, site time
    value: float                        # at the raise; NaN where there is none
    limit: float
    unit: str = ""
    area: str = ""
    acknowledged_by: str = ""
    comment: str = ""
    count: int = 1                      # raises since it was last normal and acknowledged
    suppressed_by: str = ""             # id of the alarm that says more: suppressed by design while that one holds
    detail: str = ""                    # a sentence more, where the kind does not say it all


class AlarmBook(Protocol):
    def active(self) -> tuple[Alarm, ...]:
        """Everything not NORMAL and not suppressed, worst and newest first. Memory."""

    def suppressed(self) -> tuple[Alarm, ...]:
        """What is suppressed by design, because another alarm says more. Memory."""

    def history(self, before: int | None = None, size: int = 100) -> tuple[Alarm, ...]:
        """Journal of changes, newest first, changed before `before` [ns]. Blocking."""

    def changes_after(self, changed: int, size: int) -> tuple[Alarm, ...]:
        """The first changes of the journal after an instant [ns], oldest first; none comes before them later. Blocking."""

    def acknowledge(self, actor: Actor, alarm_id: str, comment: str = "") -> "Deferred[Alarm]":
        """Persisted and audited; fails with `CommandRejected`."""

    def subscribe(self, listener: Callable[[Alarm], None]) -> Unsubscribe:
        """Hear of every change (reactor thread)."""


class AlarmGroups(Protocol):
    """Alarms that stand for many others (reactor thread)."""

    def hold(self, source: str, kind: str, area: str, at: int, devices: Iterable[str], detail: str = "") -> None:
        """The condition holds since `at` [ns]; loss and silence of `devices` are suppressed by design while it does.

        Said again with other devices, those that are no longer named are released.
        """

    def let_go(self, source: str, kind: str) -> None:
        """The condition is over, and whatever of the others still holds is shown again."""

    def held(self, prefix: str) -> tuple[tuple[str, str], ...]:
        """(source, kind) of conditions that hold and whose kind begins with `prefix`. Memory."""


class Outages(Protocol):
    """Who is out, and why most likely."""

    def open(self) -> tuple[Outage, ...]:
        """The largest first. Memory."""

    def history(self, before: int | None = None, size: int = 100) -> tuple[Outage, ...]:
        """Those that are over, newest end first, ended before `before` [ns]. Blocking."""


# ------------------------------------------------------------------------------- voltage
@attrs.frozen
class PhaseWeek:
    """A phase in a week of ten-minute means (EN 50160)."""

    counted: int                        # means there are
    beyond: int                         # of them more than 10 % from nominal: 5 % may be
    far_beyond: int                     # of them above + 10 % or below - 15 %: none may be
    share: float                        # within 10 % [1]; NaN where nothing was counted
    worst: float                        # deviation that 95 % of them keep [1]
    complies: bool                      # what was counted
    lowest: float                       # [V]; NaN where there is none
    highest: float
    settled: bool = True                # no mean is missing, or none of those that are can change `complies`; else "so far"


@attrs.frozen
class UnbalanceWeek:
    """Unbalance of the voltages, negative over positive sequence, in a week of ten-minute means (EN 50160)."""

    counted: int
    beyond: int                         # of them above 2 %: 5 % may be
    share: float                        # at most 2 % [1]
    worst: float                        # what 95 % of them keep [1]
    highest: float                      # [1]
    complies: bool                      # what was counted
    settled: bool = True


@attrs.frozen
class VoltageWeek:
    """Three phases of a transformer in a week."""

    transformer: str
    first: int                          # [ns]
    last: int                           # [ns], not included
    due: int                            # means a week has
    phases: tuple[PhaseWeek, ...]
    whole: bool                         # nothing is missing: else this is a look, and no report
    unbalance: UnbalanceWeek | None = None      # None where its meter has no voltages between phases, or none were kept

    @property
    def complies(self) -> bool:
        return all(one.complies for one in self.phases)


class Voltages(Protocol):
    """How well voltages keep to what they should be."""

    def week(self, transformer: str, last: int) -> VoltageWeek:
        """The seven days before `last` [ns], which is rounded down to full ten minutes. Blocking."""


# ------------------------------------------------------------------------------- metering and balancing
@attrs.frozen(eq=False)
class Consumption:
    """Hourly quantities of metering points: pulses through the constants that were valid then."""

    points: tuple[str, ...]
    first_hour: int
    values: NDArray[np.float64]         # (n, h), in each point's unit; NaN where missing
    quality: NDArray[np.uint8]          # (n, h), `Quality`
    units: tuple[str, ...]


@attrs.frozen(eq=False)
class Profile:
    """The same in the intervals of 15 or 30 minutes that meters delivered."""

    points: tuple[str, ...]
    first: int                          # number of the first interval: start in s since 1970 // interval_s
    interval_s: int
    values: NDArray[np.float64]         # (n, k), in each point's unit; NaN where missing
    quality: NDArray[np.uint8]          # (n, k), `Quality`
    units: tuple[str, ...]


@attrs.frozen(eq=False)
class GroupSums:
    """What the members of balance groups took together, hour by hour. Hours that are not to be summed are not present."""

    groups: tuple[str, ...]
    units: tuple[str, ...]
    first_hour: int
    sums: NDArray[np.float64]           # (g, h), in each group's unit; NaN where no member is present
    present: NDArray[np.int64]          # (g, h) members that are in the sum
    expected: NDArray[np.int64]         # (g, h) members there should be

    @property
    def completeness(self) -> NDArray[np.float64]:
        """(g, h) share of the members that are in the sum, 0-1; NaN for a group without members."""
        with np.errstate(invalid="ignore"):
            share: NDArray[np.float64] = self.present / self.expected
        return share


@attrs.frozen
class PointChange:
    """One step in the history of an interval of a metering point; the meter's constant is today's."""

    start: int                          # ns since 1970, start of the interval
    interval_s: int
    kind: ChangeKind
    at: int                             # ns, site time; 0 = it was not noted
    before: float                       # in the point's unit; NaN where nothing was held, and where only bits changed
    after: float
    bits_before: int                    # `IntervalStatus`; 0 but for JOINED
    bits_after: int
    provenance: Provenance | None       # link 0: a hand-held collector; record 0: asked for, or said by our side
    eui: int
    channel: int


class Metering(Protocol):
    def hourly(
        self, points: Sequence[str], first_hour: int, hours: int, as_of: int | None = None, *, validated: bool = False
    ) -> Consumption:
        """As delivered, or with `validated` hours in their places; with `as_of` [ns], as it was known then.

        Blocking. Unknown points raise `KeyError`.
        """

    def estimates(self, point: str, first_hour: int, hours: int) -> tuple[Estimate, ...]:
        """Every validated hour that was ever entered, in their order. Blocking. `KeyError` likewise."""

    def register(self, points: Sequence[str], hour: int, as_of: int | None = None) -> NDArray[np.float64]:
        """Register reading in the point's unit at the start of `hour`, NaN if unknown. Blocking."""

    def profile(self, points: Sequence[str], first: int, count: int, interval_s: int, as_of: int | None = None) -> Profile:
        """Intervals of 900 or 1800 s from number `first`, as they were delivered. Blocking. `KeyError` likewise."""

    def group_sums(self, groups: Sequence[str], first_hour: int, hours: int, as_of: int | None = None) -> GroupSums:
        """Sums of the members of balance groups. Blocking. Unknown groups raise `KeyError`."""

    def changes(self, point: str, first_hour: int, hours: int) -> tuple[PointChange, ...]:
        """How a point's hours came to what they say, the oldest change first. Blocking. `KeyError` likewise."""


@attrs.frozen(eq=False)
class ChannelPulses:
    """What the channels of one module counted of late."""

    register: NDArray[np.int64]         # (c,) pulses at the start of the running hour; MISSING where unknown
    counts: NDArray[np.int64]           # (c, h) of the last h hours, MISSING where not delivered
    first_hour: int


class Dials(Protocol):
    """Dials against counted registers, and the photos of them."""

    def table(self) -> DialTable:
        """Every meter in service, as last reckoned. Memory."""

    def dial(self, points: Sequence[str], hour: int) -> NDArray[np.float64]:
        """What the dials of points show at the start of `hour`, from the count; NaN where not known. Blocking."""

    def pulses(self, eui: int, channels: int, hours: int = 24) -> ChannelPulses:
        """Of one module, whoever's it is. Blocking."""

    def keep_photo(self, data: bytes) -> str:
        """Store a photo; the name it has from now on. Blocking; raises `CommandRejected`."""

    def photo(self, name: str) -> bytes | None:
        """A stored photo. Blocking."""


MONTH_S = 31 * 86400                    # stands for the months of the site, whatever their length [s]
BALANCE_COLUMNS = (
    "feed",                             # in the group's unit (kWh, m³)
    "members",                          # sum of the member intervals that are present
    "imbalance",                        # feed - members; only complete intervals are a balance
    "imbalance_percent",                # of the feed
    "uncertainty",                      # half-width, same unit as feed
    "completeness",                     # share of member-hours that were measured, 0-1
    "estimated",                        # share of member-hours, or of the feed's if that is more, that are estimates, 0-1
    "doubtful",                         # share of member-hours, or of the feed's if that is more, that are uncertain, 0-1
    "common",                           # of `members`: common needs of the house
    "generation",                       # local generation, positive; `members` has it as negative
    "technical",                        # technical loss of the network; NaN where none is computed
    "own",                              # own consumption of the metering equipment
    "unexplained",                      # imbalance - technical - own
    "version",                          # 1, 2, … : late data recalculates
)


LOSS_COLUMNS = (
    "technical",                        # lines and transformer [kWh]
    "phases",                           # of the lines
    "neutral",
    "transformer",                      # with no-load loss
    "uncertainty",                      # one sigma of what means over an hour hide
    "taken",                            # by the service points
    "completeness",                     # share of service points that are known, 0-1; only complete hours have a loss
    "version",                          # 1, 2, … : late data recalculates
)


@attrs.frozen
class SectionLoss:
    """What a piece of cable loses over a period."""

    name: str
    feeder: str
    ends: tuple[str, str]               # the one that feeds comes first; of one that closes a loop, none does
    length_m: float
    lost: float                         # kWh
    neutral: float                      # share of it [1]; NaN where nothing is lost
    current: float                      # highest hourly mean in a phase [A]
    lowest: float                       # lowest hourly mean voltage at its far end [V]


@attrs.frozen
class ConsumerLoss:
    """What a service point makes of the loss; negative: it relieves the others."""

    point: str
    consumer: str
    node: str
    phases: str
    lost: float                         # kWh
    taken: float                        # kWh; NaN where it is not known in any hour
    lowest: float                       # V


@attrs.frozen
class LossReport:
    """The losses of a transformer's network over a period; energies [kWh]."""

    root: str
    hours: int
    known: int                          # hours that are complete: those are in all the figures
    collapsed: int                      # hours in which the network cannot carry what was taken
    taken: float
    phases: float
    neutral: float
    transformer: float
    uncertainty: float
    sections: tuple[SectionLoss, ...]   # nearer ones first
    consumers: tuple[ConsumerLoss, ...]
    fitted: bool = False                # the form factor was fitted to its consumers; else it is the one that is shipped
    form_source: str = ""               # where that one is from, in words
    looped: bool = False                # no tree: no form factor, no uncertainty and no part of a consumer is known

    @property
    def lost(self) -> float:
        return self.phases + self.neutral + self.transformer


class TechnicalLosses(Protocol):
    def table(self, transformer: str, first: int, last: int) -> ResultTable:
        """`LOSS_COLUMNS` of hours with first <= start < last [s]. Blocking."""

    def problems(self, transformer: str) -> tuple[Problem, ...] | None:
        """Why there are no losses; () where there are, None where the transformer has no sections. Any thread."""

    def recompute(self, transformers: Sequence[str], first: int, last: int) -> "Deferred[tuple[str, ...]]":
        """
        Make hours first <= hour < last [h since 1970] due again, however old, with the balances that deduct their losses.

        Fires when that is durable, with those groups; fails with `StorageError`.
        """

    def report(self, transformer: str, first: int, hours: int) -> LossReport | None:
        """Losses of `hours` hours from `first` [h since 1970]; None where there is no network. Blocking."""


class Balances(Protocol):
    def table(self, group: str, span_s: int, first: int, last: int, as_of: int | None = None) -> ResultTable:
        """`BALANCE_COLUMNS` of a balance group; span 3600, 86400 (site days) or `MONTH_S`, named by start [s]. Blocking.

        With `as_of` [ns] as it was known then, `NotKept` where that is not kept so long.
        """


class Compute(Protocol):
    """Where arithmetic runs that would hold up everything else. Blocking; jobs and answers are sent by value."""

    def each(self, function: Callable[[Job], Answer], jobs: Iterable[Job]) -> Iterator[Answer]:
        """Answers as they come, in any order; jobs are taken as there is room for them."""


class Cases(Protocol):
    """Case files of suspects in balance groups. Blocking."""

    def find(
        self, states: Sequence[CaseState], first: int = 0, size: int = 50, *, groups: Sequence[str] | None = None,
        members: Sequence[str] | None = None,
    ) -> tuple[tuple[Case, ...], int]:
        """
        Cases in those states, the strongest suspicion of the newest examination first, and how many there are.

        Where `groups` or `members` are given, only of those.
        """

    def one(self, number: int) -> Case | None:
        """With its changes, oldest first."""

    def counts(
        self, *, groups: Sequence[str] | None = None, members: Sequence[str] | None = None
    ) -> Mapping[CaseState, int]:
        """How many there are of each state; all of them are keys."""

    def night(self) -> tuple[str, tuple[GroupState, ...]]:
        """Site day of the newest examination, "" before the first, and what it said of groups that are not in order."""

    def decide(self, actor: Actor, number: int, was: CaseState | None, state: CaseState, note: str) -> Case:
        """Change the state, durably and audited; `was` is what the person saw. Fails with `CommandRejected`."""


class Leaks(Protocol):
    """Flows that never stop. Blocking."""

    def find(
        self, states: Sequence[LeakState], medium: Medium | None = None, first: int = 0, size: int = 50
    ) -> tuple[tuple[Leak, ...], int]:
        """Leaks in those states, the strongest for its medium first, and how many there are."""

    def one(self, number: int) -> Leak | None:
        """With its changes, oldest first."""

    def of_point(self, point: str) -> Leak | None:
        """The newest of a metering point, whatever became of it."""

    def counts(self) -> Mapping[tuple[LeakState, Medium], int]:
        """How many there are of each; what there is none of is no key."""

    def night(self) -> LeakNight:
        """The newest examination; its day is "" before the first."""

    def standby(self, point: str) -> Standby | None:
        """What is always on at a metering point of electricity, by its hours of now; None where they are too few."""

    def decide(self, actor: Actor, number: int, was: LeakState | None, state: LeakState, note: str) -> Leak:
        """Change the state, durably and audited; `was` is what the person saw. Fails with `CommandRejected`."""


class Replacements(Protocol):
    """When which meter is worth replacing."""

    def page(self, media: Sequence[Medium], first: int = 0, size: int = 50) -> ReplacementList:
        """Meters by what replacing them now gains, the largest first, by what they cost now. Blocking, a moment."""

    def of_point(self, point: str) -> Replaceable | None:
        """The meter of a metering point; None where it is not reckoned. Blocking, a moment."""

    def example(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Ages [a] and rates [1/a] of the failure curve that stands where nobody has entered one. Memory."""


class PhaseStudies(Protocol):
    def study(
        self, group: str, first_hour: int, hours: int, objective: Objective = Objective.ABSOLUTE,
        moves: int | None = None, exact: bool = False,
    ) -> PhaseStudy | Working:
        """What can be said of a group's phases, or how far that or another study is. Waits for two seconds at most.

        `moves`: most of the work order; None: what is worth it. `exact`: by a solver, for the worst hour.
        Unknown groups raise `KeyError`; a period that is longer than `most_days` raises `ValueError`.
        """

    @property
    def most_days(self) -> int:
        """The longest period that may be asked for."""


class PhaseWeeks(Protocol):
    def table(self, group: str, first: int, last: int) -> ResultTable:
        """`PHASE_WEEK_COLUMNS` of weeks (Monday to Sunday) with first <= start < last [s]. Blocking."""


class PhaseOrders(Protocol):
    """Work orders for moves between phases that people kept. Blocking."""

    def orders(self, group: str) -> tuple[PhaseOrder, ...]:
        """Of a group, newest first, without their changes."""

    def order(self, number: int) -> PhaseOrder | None:
        """With its changes, oldest first."""

    def states(self, order: PhaseOrder) -> tuple[MoveState, ...]:
        """What the registry says of each of its moves by now."""

    def keep(self, actor: Actor, study: PhaseStudy) -> PhaseOrder:
        """Keep its moves, durably and audited; the same moves twice are one order. Fails with `CommandRejected`."""

    def settle(
        self, actor: Actor, number: int, was: OrderState | None, state: OrderState, note: str, day: str
    ) -> PhaseOrder:
        """Say what became of it, durably and audited; `day`: when it was done, "" = today. Fails with `CommandRejected`."""

    def achieved(self, order: PhaseOrder) -> Achieved | Working:
        """What it has given, or how far that is worked out."""


# ------------------------------------------------------------------------------------------------- health
@attrs.frozen
class Health:
    part: str                           # "dmesh", "modbus", "historian", "influx:main", "opcua", "loop" …
    ok: bool
    text: str                           # one plain sentence
    figures: Mapping[str, float] = attrs.field(factory=dict)
    tags: Mapping[str, TagDef] = attrs.field(factory=dict)     # of figures that have a title, a unit or limits


class HealthSource(Protocol):
    def health(self) -> Iterable[Health]:
        """Memory."""


