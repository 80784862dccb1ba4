"""Firmware messages of every link: EUIs to indices and back, pages to whole accounts, and when a link is free for blocks.

Implements `ports.FirmwareGateway`. It decides nothing about who gets what; it only never sends an image where something
more urgent is under way.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs
import numpy as np
from twisted.internet.defer import Deferred, fail

from scada.drivers.dmesh import sets
from scada.drivers.dmesh.link import COMMAND_T1_S
from scada.drivers.dmesh.messages import (
    FwActivate,
    FwBlock,
    FwMissing,
    FwOffer,
    FwStatus,
    FwVerify,
    GetFwStatus,
    Message,
    Result,
    image_id,
    read_manifest,
    signed_part,
)
from scada.drivers.dmesh.numbers import Capability, Code, code_name
from scada.drivers.dmesh.rejected import Rejected
from scada.drivers.dmesh.station import Station
from scada.errors import CommandRejected, DataRejected, LinkError
from scada.ports import Unsubscribe
from scada.rollout import DeviceReport, DeviceState, Image, Lack

MOST_PAGES: Final = 4096                # of one account; 240 modules that lack everything of the largest image fit
MOST_BLOCKS: Final = 0x0100_0000 // 16  # of any image
News = Sequence[DeviceReport] | Lack
T = TypeVar("T")


@attrs.define
class _Account:
    """The pages of one FW_MISSING account, as they come in."""

    time: int
    image: bytes
    pages: int
    generation: int
    seen: set[int] = attrs.field(factory=set)
    store: int = 0                      # bits of index 0
    missing: dict[int, int] = attrs.field(factory=dict)     # by index: number of blocks


class Updates:
    def __init__(
        self, stations: Mapping[int, Station], reading: Callable[[int], bool], naming: Callable[[int], str],
        on_link: Callable[[Callable[[int, bool], None]], Unsubscribe],
    ) -> None:
        self._stations, self._reading, self._naming = stations, reading, naming
        self.on_link = on_link
        self._listeners: list[Callable[[News], None]] = []
        self._accounts: dict[int, tuple[Station, _Account]] = {}            # by link id

    # ------------------------------------------------------------------ FirmwareGateway
    def read_manifest(self, manifest: bytes) -> Image:
        return image_of(manifest)

    def obstacle(self, link_id: int) -> str | None:
        station = self._stations.get(link_id)
        if station is None or not station.link.up:
            return "the link is down"
        if not station.link.hello.capabilities & Capability.FIRMWARE:
            return None
        if station.commanding:
            return "a command is under way"
        if self._reading(link_id) or not station.archive.caught_up:
            return "history is on its way"
        return ""

    def ask(self, link_id: int) -> "Deferred[None]":
        return self._go(link_id, self._ask)

    async def _ask(self, station: Station) -> None:
        page, pages = 0, 1
        reports: list[DeviceReport] = []
        while page < pages:
            answer = await station.link.ask(GetFwStatus(page), FwStatus)
            if isinstance(answer, Result):
                raise LinkError(station.link.name, f"cannot say what its modules run: {code_name(answer.code)}")
            reports += await self._reports(station, answer)
            pages, page = answer.pages, page + 1
        self._tell(reports)

    def offer(self, link_id: int, manifest: bytes, signature: bytes, modules: Iterable[int]) -> "Deferred[str]":
        async def send(station: Station) -> str:
            self._accounts.pop(link_id, None)               # what comes now is the account of this offer
            named, generation = await self._named(station, modules)
            return await self._code(station, FwOffer(manifest, signature, named, False, generation))

        return self._go(link_id, send)

    def block(self, link_id: int, image: bytes, number: int, data: bytes) -> "Deferred[str]":
        return self._go(link_id, lambda station: self._code(station, FwBlock(image, number, data)))

    def verify(self, link_id: int, image: bytes, modules: Iterable[int]) -> "Deferred[str]":
        async def send(station: Station) -> str:
            named, generation = await self._named(station, modules)
            return await self._code(station, FwVerify(image, named, False, generation))

        return self._go(link_id, send)

    def activate(self, link_id: int, image: bytes, modules: Iterable[int]) -> "Deferred[str]":
        async def send(station: Station) -> str:
            named, generation = await self._named(station, modules)
            return await self._code(station, FwActivate(image, named, False, 0, generation))

        return self._go(link_id, send)

    def on_firmware(self, listener: Callable[[News], None]) -> Unsubscribe:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    # ------------------------------------------------------------------ from stations
    async def heard(self, station: Station, message: FwMissing | FwStatus) -> None:
        """What a concentrator tells by itself."""
        if isinstance(message, FwStatus):
            self._tell(await self._reports(station, message))
            return
        account = self._page(station, message)
        if account is None:
            return
        modules = await station.book.of(account.generation)
        if modules is None or self._stations.get(station.link.link_id) is not station:
            return
        self._tell(Lack(
            station.link.link_id, account.image, account.store.to_bytes(-(-account.store.bit_length() // 8), "little"),
            tuple((int(modules.euis[index]), count) for index, count in account.missing.items() if modules.euis[index]),
        ))

    # ------------------------------------------------------------------ private
    def _page(self, station: Station, page: FwMissing) -> _Account | None:
        """The account that this page completes; a malformed one costs itself."""
        link_id = station.link.link_id
        whose, account = self._accounts.get(link_id, (None, None))
        new = (page.time, page.image, page.pages, page.generation)
        held = account and (account.time, account.image, account.pages, account.generation)
        if account is None or whose is not station or held != new:
            if page.pages > MOST_PAGES:
                return None
            account = _Account(*new)
            self._accounts[link_id] = (station, account)
        if page.page in account.seen or page.page >= page.pages:
            return None
        account.seen.add(page.page)
        for device in page.devices:
            bits = int.from_bytes(device.blocks, "little")
            if device.index == 0 and device.first <= MOST_BLOCKS:
                account.store |= bits << device.first
            elif device.index:
                account.missing[device.index] = account.missing.get(device.index, 0) + bits.bit_count()
        if len(account.seen) < account.pages:
            return None
        del self._accounts[link_id]
        return account

    async def _reports(self, station: Station, status: FwStatus) -> list[DeviceReport]:
        modules = await station.book.of(status.generation)
        if modules is None:
            return []
        return [
            DeviceReport(
                station.link.link_id, int(modules.euis[one.index]), one.running, one.hardware, one.rollback, one.image,
                one.state, code_name(one.code) if one.state == DeviceState.FAILED else "", one.missing,
            )
            for one in status.devices if one.index and modules.euis[one.index]
        ]

    async def _named(self, station: Station, euis: Iterable[int]) -> tuple[bytes, int]:
        """Modules as the wire names them, and the generation of the list they were looked up in."""
        modules = await station.book.of(0)
        if modules is None:
            raise LinkError(station.link.name, "has no module list at present: nothing was sent")
        wanted = np.isin(modules.euis, np.fromiter(euis, dtype=np.uint64))
        wanted[0] = False
        return sets.bitmap(np.flatnonzero(wanted).tolist()), modules.generation

    async def _code(self, station: Station, message: Message) -> str:
        try:
            answer = await station.link.ask(message, Result, COMMAND_T1_S)
            if answer.code == Code.INTERLOCK:               # somebody has joined or left: who has which index now?
                await station.book.refresh()
        except DataRejected as refused:
            raise LinkError(station.link.name, refused.reason) from None
        return code_name(answer.code)

    def _go(self, link_id: int, work: Callable[[Station], Coroutine[Any, Any, T]]) -> "Deferred[T]":
        station = self._stations.get(link_id)
        if station is None:
            return fail(LinkError(self._naming(link_id), "the link is down: nothing was sent"))
        return Deferred.fromCoroutine(work(station))

    def _tell(self, news: News) -> None:
        for listener in tuple(self._listeners):
            listener(news)


def image_of(manifest: bytes) -> Image:
    """What a manifest says, whoever signed it; raises `CommandRejected` where it cannot be read."""
    found = read_manifest(manifest)
    if isinstance(found, Rejected):
        raise CommandRejected([f"the manifest cannot be read: {found.detail}"])
    return Image(
        image_id(manifest), found.vendor, found.hardware, found.version, found.rollback, found.size, found.sha256,
        found.block_size, signed_part(manifest),
    )
