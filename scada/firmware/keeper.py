"""Campaigns, images and what devices run, in memory and on the disk: what is written, and in which order."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from scada.errors import StorageError
from scada.firmware.campaign import Campaign
from scada.firmware.selection import Said
from scada.firmware.store import FILE, Course, FirmwareStore, Package, kept
from scada.firmware.trust import vouched
from scada.rollout import CampaignState, DeviceReport, Image, StoredImage

T = TypeVar("T")


class Keeper:
    """Everything of a site's firmware. What `save` was given is durable when it returns; `later` is written in a moment."""

    def __init__(
        self, data_dir: Path, reactor: Any, pool: ThreadPool, read_manifest: Callable[[bytes], Image]
    ) -> None:
        self._reactor, self._pool, self._read_manifest = reactor, pool, read_manifest
        self._store = FirmwareStore(data_dir / FILE)
        self._disk = DeferredLock()
        self._images: dict[bytes, Image] = {}
        self._contents: dict[bytes, bytes] = {}
        self._dirty: dict[int, set[int]] = {}               # campaign → modules that are not on the disk yet
        self._news: dict[int, DeviceReport] = {}            # of what devices run, what is not on the disk yet
        self.packages: dict[bytes, Package] = {}
        self.campaigns: dict[int, Campaign] = {}            # by number, oldest first
        self.known: dict[int, Said] = {}                    # EUI → what the device said of itself
        self.trouble = ""

    # ------------------------------------------------------------------ life
    async def open(self) -> None:
        await self.in_thread(self._store.open)
        await self.read_images()
        self.known = await self.in_thread(self._store.devices)
        for one in await self.in_thread(partial(self._store.campaigns, self._images)):
            self.campaigns[one.number] = one

    async def close(self) -> None:
        try:
            await self.flush()
        finally:
            await self.in_thread(self._store.close)

    def live(self) -> list[Campaign]:
        """Begun and not over."""
        return [one for one in self.campaigns.values() if not one.over and one.state is not CampaignState.DRAFT]

    # ------------------------------------------------------------------ images
    def images(self) -> tuple[StoredImage, ...]:
        """Newest first. Blocking; any thread."""
        keys, found = self._store.trusted(), []
        for one in self._store.packages():
            image = self._read_manifest(one.manifest)
            signer = vouched(image, one.signature, keys)
            found.append(StoredImage(image, one.imported, one.by, signer.fingerprint if signer else ""))
        return tuple(found)

    async def read_images(self) -> None:
        """The command line imports beside us."""
        for one in await self.in_thread(self._store.packages):
            self.packages[one.id] = one
            self._images[one.id] = self._read_manifest(one.manifest)

    async def trusted_image(self, name: str) -> tuple[Image | None, str]:
        """The image of a hex id, and why it may not be used at this moment: "" if its maker is trusted."""
        await self.read_images()
        package = next((one for one in self.packages.values() if one.id.hex() == name), None)
        if package is None:
            return None, f"there is no image {name}; import it first"
        image = self._images[package.id]
        if vouched(image, package.signature, await self.in_thread(self._store.trusted)) is None:
            return image, f"the signature was not made with a trusted key of {image.vendor}"
        return image, ""

    async def content(self, image: bytes) -> bytes:
        if image not in self._contents:
            self._contents[image] = await self.in_thread(partial(self._store.content, image))
        return self._contents[image]

    def forget_contents(self) -> None:
        """Images that no campaign sends now cost no memory."""
        used = {one.image.id for one in self.live()}
        self._contents = {one: held for one, held in self._contents.items() if one in used}

    # ------------------------------------------------------------------ writing
    async def add(self, campaign: Campaign) -> None:
        await self._disk.run(self.in_thread, partial(self._store.add_campaign, campaign))
        self.campaigns[campaign.number] = campaign
        stay = kept((number, one.over, len(one.members)) for number, one in self.campaigns.items())
        for number in self.campaigns.keys() - stay - self._dirty.keys():
            del self.campaigns[number]

    async def save(self, campaign: Campaign, euis: Iterable[int]) -> None:
        """Raises `StorageError`, and then nothing may be sent."""
        self.later(campaign, euis)
        await self._disk.run(self._write_out, campaign)

    def later(self, campaign: Campaign, euis: Iterable[int]) -> None:
        self._dirty.setdefault(campaign.number, set()).update(euis)

    def note(self, report: DeviceReport) -> None:
        """What a device runs, if that is news."""
        said = (report.running, report.hardware, report.rollback)
        if self.known.get(report.eui) != said:
            self.known[report.eui] = said
            self._news[report.eui] = report

    def flush_if_idle(self) -> None:
        if (self._dirty or self._news) and not self._disk.locked:
            Deferred.fromCoroutine(self.flush()).addErrback(lambda failure: failure.trap(StorageError))

    async def flush(self) -> None:
        if self._news:
            news, self._news = self._news, {}
            try:
                await self._disk.run(self.in_thread, partial(self._store.note_devices, tuple(news.values())))
            except StorageError as error:
                self._news = news | self._news
                self.trouble = str(error)
                raise
        for number in tuple(self._dirty):
            await self._disk.run(self._write_out, self.campaigns[number])

    def _write_out(self, campaign: Campaign) -> "Deferred[None]":
        """What has changed of a campaign until now; under the lock, so that no older state overwrites a newer one."""
        euis = self._dirty.pop(campaign.number, set())
        course = Course.of(campaign, euis)

        def failed(failure: Any) -> Any:
            self._dirty.setdefault(campaign.number, set()).update(euis)
            self.trouble = failure.getErrorMessage()
            return failure

        def done(_: Any) -> None:
            self.trouble = ""

        return self.in_thread(partial(self._store.save, course)).addCallbacks(done, failed)

    def in_thread(self, job: Callable[[], T]) -> "Deferred[T]":
        return deferToThreadPool(self._reactor, self._pool, job)
