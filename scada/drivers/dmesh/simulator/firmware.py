"""Firmware of a simulated subnet: takes offers and blocks, brings them to the modules by radio with loss, reboots them.

The concentrator keeps one image; it broadcasts what somebody lacks, a few blocks a round. A module checks signature, class
and number itself. An image whose bytes begin with `DEAF` never reaches its concentrator again: the module goes back to its
old firmware after ten minutes. Everything in site time.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import attrs
import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from numpy.typing import NDArray

from scada.drivers.dmesh import sets
from scada.drivers.dmesh.messages import (
    BLOCKS_AN_ENTRY,
    FwActivate,
    FwBlock,
    FwDevice,
    FwMissing,
    FwOffer,
    FwStatus,
    FwVerify,
    GetFwStatus,
    Manifest,
    Message,
    Missing,
    Result,
    image_id,
    read_manifest,
    signed_part,
)
from scada.drivers.dmesh.numbers import Code, FirmwareState
from scada.drivers.dmesh.rejected import Rejected
from scada.drivers.dmesh.simulator.mesh import Mesh

DEAF: Final = b"DEAF"                       # an image that begins so runs, but does not find its concentrator
HARDWARE: Final = "D100FC"
BORN_WITH: Final = "1.0"
DEVICES_A_PAGE: Final = 8                   # each takes 100 bytes at most: a frame of 1,024 holds them
ENTRIES_A_PAGE: Final = 1                   # one may take 512 bytes
S = FirmwareState


@attrs.frozen
class Pace:
    """How long things take. [s of site time]"""

    round_s: float = 2.0                    # between two broadcasts of `BATCH` blocks
    batch: int = 8
    told_s: float = 60.0                    # between two accounts of what is missing
    reboot_s: float = 20.0
    fallback_s: float = 600.0


@attrs.define
class Device:
    """One module's firmware."""

    running: str = BORN_WITH
    hardware: str = HARDWARE
    rollback: int = 1
    image: bytes = b""
    state: FirmwareState = S.NONE
    code: Code = Code.OK
    due: float = float("inf")               # when it comes back, or gives up


@attrs.define
class _Offer:
    id: bytes
    manifest: Manifest
    store: NDArray[np.bool_]                # (blocks,) held by the concentrator
    content: bytearray
    held: dict[int, NDArray[np.bool_]]      # by index of those who shall have it: (blocks,)
    bad: set[int] = attrs.field(factory=set)    # whose copy was damaged on the way


class Firmware:
    """All devices of one subnet. `tell` is called with what is sent by itself."""

    def __init__(
        self, indices: Iterable[int], mesh: Mesh, rng: np.random.Generator, present: Callable[[], set[int]],
        reachable: Callable[[int, float], bool], tell: Callable[[Message], None], generation: Callable[[], int],
    ) -> None:
        self.devices = {index: Device() for index in indices}
        self.makers: tuple[bytes, ...] = ()                 # public keys that the devices have from the factory
        self.pace = Pace()
        self.damaged: set[int] = set()                      # modules whose copy of the next image will have a flipped bit
        self.deaf: set[int] = set()                         # modules that do not find their concentrator with new firmware
        self.blocks_taken = 0                               # FW_BLOCKs that brought something new
        self.blocks_again = 0
        self._mesh, self._rng = mesh, rng
        self._place = {int(index): place for place, index in enumerate(mesh.index)}
        self._present, self._reachable, self._tell = present, reachable, tell
        self._generation = generation
        self._offer: _Offer | None = None
        self._next_round = self._next_account = float("inf")
        self._owe_account = False

    def memory(self) -> dict[str, Any]:
        """What its devices run, as JSON: a simulator that starts again has not put them back to their first firmware."""
        return {str(index): [one.running, one.rollback] for index, one in self.devices.items() if one.running != BORN_WITH}

    def recall(self, memory: Mapping[str, Any]) -> None:
        for index, (running, rollback) in memory.items():
            if (one := self.devices.get(int(index))) is not None:
                one.running, one.rollback = running, rollback

    # ------------------------------------------------------------------ what the server asks
    def handle(self, message: Message, now: float) -> tuple[Message, ...]:
        """The answers, in order."""
        if isinstance(message, FwOffer | FwVerify | FwActivate) and message.generation not in (0, self._generation()):
            return (Result(Code.INTERLOCK),)
        match message:
            case GetFwStatus(page=page):
                pages = self._pages(sorted(self._present()), now)
                return (pages[page],) if page < len(pages) else (Result(Code.UNKNOWN),)
            case FwOffer():
                return (Result(self._take_offer(message, now)),)
            case FwBlock():
                return (Result(self._take_block(message, now)),)
            case FwVerify():
                return (Result(self._verify(message, now)),)
            case FwActivate():
                return (Result(self._activate(message, now)),)
        return ()

    def _take_offer(self, offer: FwOffer, now: float) -> Code:
        manifest = read_manifest(offer.manifest)
        if isinstance(manifest, Rejected) or offer.concentrator:
            return Code.BAD_ARGUMENT
        if not self._signed(offer.manifest, offer.signature):
            return Code.CRYPTO
        named = [index for index in sets.indices(offer.modules) if index in self._present()]
        if any(self.devices[index].rollback > manifest.rollback for index in named):
            return Code.DENIED
        named = [index for index in named if self.devices[index].hardware == manifest.hardware]
        if not named:
            return Code.BAD_ARGUMENT
        number = image_id(offer.manifest)
        again = self._offer is not None and self._offer.id == number
        if not again:
            self._offer = _Offer(number, manifest, np.zeros(manifest.blocks, dtype=bool), bytearray(manifest.size), {})
        assert self._offer is not None
        for index in named:
            device = self.devices[index]
            self._offer.held.setdefault(index, np.zeros(manifest.blocks, dtype=bool))
            if device.image != number or device.state is S.FAILED:      # a device that failed is let try again
                device.image, device.code = number, Code.OK
                device.state = S.COMPLETE if self._offer.held[index].all() else S.RECEIVING
        for index in [one for one in self._offer.held if one not in named]:
            del self._offer.held[index]
        self._next_round = min(self._next_round, now + self.pace.round_s)
        self._owe_account, self._next_account = True, now
        return Code.DUPLICATE if again else Code.ACCEPTED

    def _signed(self, manifest: bytes, signature: bytes) -> bool:
        for key in self.makers:
            try:
                Ed25519PublicKey.from_public_bytes(key).verify(signature, signed_part(manifest))
            except InvalidSignature:
                continue
            return True
        return False

    def _take_block(self, block: FwBlock, now: float) -> Code:
        offer = self._offer
        if offer is None or offer.id != block.image:
            return Code.UNKNOWN
        start = block.number * offer.manifest.block_size
        if block.number >= offer.manifest.blocks or len(block.data) != min(
            offer.manifest.block_size, offer.manifest.size - start
        ):
            return Code.BAD_ARGUMENT
        self.blocks_taken += not offer.store[block.number]
        self.blocks_again += bool(offer.store[block.number])
        offer.content[start:start + len(block.data)] = block.data
        offer.store[block.number] = True
        self._next_round = min(self._next_round, now + self.pace.round_s)
        return Code.OK

    def _verify(self, verify: FwVerify, now: float) -> Code:
        offer = self._offer
        if offer is None or offer.id != verify.image:
            return Code.UNKNOWN
        good = hashlib.sha256(offer.content).digest() == offer.manifest.sha256
        for index in sets.indices(verify.modules):
            device = self.devices.get(index)
            if device is None or index not in offer.held or device.state is not S.COMPLETE:
                continue
            if good and index not in offer.bad:
                device.state = S.VERIFIED
                continue
            device.state, device.code = S.FAILED, Code.CRYPTO
            offer.held[index][:] = False
            offer.bad.discard(index)
        self._say(sets.indices(verify.modules), now)
        return Code.ACCEPTED

    def _activate(self, activate: FwActivate, now: float) -> Code:
        offer = self._offer
        if offer is None or offer.id != activate.image:
            return Code.UNKNOWN
        named = [index for index in sets.indices(activate.modules) if index in self.devices]
        if any(self.devices[index].state is not S.VERIFIED or self.devices[index].image != offer.id for index in named):
            return Code.DENIED
        for index in named:
            device = self.devices[index]
            device.state = S.ACTIVATING
            takes = self.pace.fallback_s if self._falls_back(index, offer) else self.pace.reboot_s
            device.due = max(now, activate.at) + takes
        self._say(named, now)
        return Code.ACCEPTED

    # ------------------------------------------------------------------ what happens by itself
    @property
    def next_due(self) -> float | None:
        """When something happens by itself."""
        due = min([self._next_round, self._next_account, *(one.due for one in self.devices.values())])
        return None if due == float("inf") else due

    def run(self, now: float) -> None:
        """Let everything happen that is due."""
        while self._next_round <= now:
            at = self._next_round
            self._next_round = at + self.pace.round_s if self._broadcast(at) else float("inf")
        back = [index for index, one in self.devices.items() if one.due <= now]
        for index in back:
            self._came_back(index)
        if back:
            self._say(back, now)
        if self._next_account <= now:
            self._next_account = float("inf")
            self._account(now)

    def _broadcast(self, at: float) -> bool:
        """A few blocks that somebody lacks; False where nobody who can be reached lacks what is held here."""
        offer = self._offer
        if offer is None:
            return False
        listening = [index for index, held in offer.held.items() if not held.all() and self._reachable(index, at)]
        wanted = np.zeros(offer.manifest.blocks, dtype=bool)
        for index in listening:
            wanted |= offer.store & ~offer.held[index]
        batch = np.flatnonzero(wanted)[:self.pace.batch]
        if not len(batch):
            return bool(any(not held.all() for held in offer.held.values()) and offer.store.any())
        complete = []
        for index in listening:
            place = self._place[index]
            chance = float(self._mesh.delivery[place]) ** int(self._mesh.level[place])
            offer.held[index][batch[self._rng.random(len(batch)) < chance]] = True
            if offer.held[index].all() and self.devices[index].state is S.RECEIVING:
                self.devices[index].state = S.COMPLETE
                if index in self.damaged:
                    self.damaged.discard(index)
                    offer.bad.add(index)
                complete.append(index)
        if complete:
            self._say(complete, at)
        if not self._owe_account:
            self._owe_account, self._next_account = True, at + self.pace.told_s
        return True

    def _falls_back(self, index: int, offer: _Offer) -> bool:
        return index in self.deaf or bytes(offer.content[:len(DEAF)]) == DEAF

    def _came_back(self, index: int) -> None:
        """The new firmware found its concentrator, or the old one is back."""
        offer, device = self._offer, self.devices[index]
        device.due = float("inf")
        if offer is None or device.image != offer.id:
            return
        if self._falls_back(index, offer):
            device.state, device.code = S.FAILED, Code.TIMEOUT
            return
        device.running, device.state = offer.manifest.version, S.RUNNING
        device.rollback = max(device.rollback, offer.manifest.rollback)

    # ------------------------------------------------------------------ what is told
    def _say(self, indices: Iterable[int], now: float) -> None:
        for page in self._pages(indices, now):
            self._tell(page)

    def _pages(self, indices: Iterable[int], now: float) -> list[FwStatus]:
        devices = [self._device(index) for index in indices if index in self.devices]
        parts = [tuple(devices[at:at + DEVICES_A_PAGE]) for at in range(0, len(devices), DEVICES_A_PAGE)] or [()]
        return [FwStatus(number, len(parts), int(now), part, self._generation()) for number, part in enumerate(parts)]

    def _device(self, index: int) -> FwDevice:
        one, offer = self.devices[index], self._offer
        held = offer.held.get(index) if offer is not None and one.image == offer.id else None
        missing = 0 if held is None else int((~held).sum())
        return FwDevice(index, one.running, one.hardware, one.rollback, one.image, one.state, one.code, missing)

    def _account(self, now: float) -> None:
        self._owe_account = False
        offer = self._offer
        if offer is None:
            return
        entries = list(_entries(0, ~offer.store))
        for index, held in sorted(offer.held.items()):
            entries += _entries(index, ~held)
        pages = [tuple(entries[at:at + ENTRIES_A_PAGE]) for at in range(0, len(entries), ENTRIES_A_PAGE)]
        for number, page in enumerate(pages):
            self._tell(FwMissing(offer.id, number, len(pages), int(now), page, self._generation()))


def _entries(index: int, missing: NDArray[np.bool_]) -> Iterator[Missing]:
    """What one device lacks; a single empty entry where it lacks nothing."""
    if not missing.any():
        yield Missing(index)
        return
    for first in range(0, len(missing), BLOCKS_AN_ENTRY):
        part = missing[first:first + BLOCKS_AN_ENTRY]
        if part.any():
            yield Missing(index, first, np.packbits(part, bitorder="little").tobytes())
