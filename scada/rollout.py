"""Firmware on its way to modules: an image, how far one device is with it, and what a campaign looks like to people."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Final

import attrs

from scada.commands import Role

MAY_ROLL_OUT: Final = frozenset({Role.ENGINEER, Role.ADMINISTRATOR})


class DeviceState(IntEnum):
    """How far one device is with the image it was offered, as it says itself. The number is on the wire."""

    NONE = 0
    RECEIVING = 1
    COMPLETE = 2                        # every block is there
    VERIFIED = 3                        # and the whole has the manifest's hash
    ACTIVATING = 4
    RUNNING = 5                         # it came back and says so itself
    FAILED = 6


@attrs.frozen
class Image:
    """What a signed manifest says; read by the driver, trusted by nobody before its signature was checked."""

    id: bytes                           # names the manifest, and with it the image
    vendor: str
    hardware: str                       # class of devices it is for
    version: str
    rollback: int                       # a device never goes below the highest it ran
    size: int                           # bytes
    sha256: bytes
    block_size: int                     # bytes; the last block may be shorter
    signed: bytes = attrs.field(repr=False)     # what the signature is over

    @property
    def blocks(self) -> int:
        return -(-self.size // self.block_size)


@attrs.frozen
class DeviceReport:
    """What one module said of its firmware."""

    link_id: int
    eui: int
    running: str                        # the version that runs
    hardware: str
    rollback: int                       # highest anti-rollback number it ran
    image: bytes                        # what it takes or took last; empty: none
    state: int                          # `DeviceState` of that image; a later version may have others
    reason: str = ""                    # result code name, where it failed
    missing: int = 0                    # blocks


@attrs.frozen
class Lack:
    """What a concentrator's own store lacks of an image: bit i, least significant first, is block i."""

    link_id: int
    image: bytes
    blocks: bytes
    modules: tuple[tuple[int, int], ...] = ()   # (EUI, blocks missing) of modules that were asked

    @property
    def count(self) -> int:
        return int.from_bytes(self.blocks, "little").bit_count()


class CampaignState(StrEnum):
    DRAFT = "draft"
    CANARY = "canary"                   # a few modules take it first
    SOAK = "soak"                       # they run it, and are watched
    WAVE = "wave"
    PAUSED = "paused"                   # neither blocks nor activations leave
    DONE = "done"
    ABORTED = "aborted"


OVER: Final = frozenset({CampaignState.DONE, CampaignState.ABORTED})


class UpdateState(IntEnum):
    """How far one module of a campaign has come."""

    WAITING = 0                         # its stage has not begun, or its concentrator was not reached yet
    TRANSFER = 1                        # it is named in an offer; blocks are on their way
    COMPLETE = 2
    VERIFIED = 3
    ACTIVATING = 4
    DONE = 10                           # it says itself that it runs the version
    FAILED = 11


@attrs.frozen
class CampaignRequest:
    """What a person asks for; checked, never trusted. Empty selections mean every module of the class."""

    image: str                          # hex id of an imported image
    concentrators: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()        # load groups
    canary: int = 5                     # modules
    wave: int = 200                     # modules of each wave
    soak_s: int = 86_400                # site time the canary runs before the first wave
    most_failed_percent: float = 5.0    # of a stage's modules; beyond it the campaign pauses by itself
    patience_s: int = 172_800           # site time a stage may take; who has not answered by then has failed
    reason: str = ""


@attrs.frozen
class UpdateStatus:
    """One module of a campaign."""

    eui: int
    device: str
    concentrator: str
    stage: int                          # 0: canary; else number of the wave
    state: UpdateState
    reason: str
    missing: int                        # blocks
    changed: int                        # ns, site time


@attrs.frozen
class UpdateFilter:
    """Which modules of a campaign are wanted."""

    states: tuple[UpdateState, ...] = ()    # empty: every one
    stage: int | None = None
    first: int = 0
    most: int = 100


@attrs.frozen
class StageStatus:
    """The canary, or a wave."""

    number: int                         # 0: canary
    total: int                          # modules
    counts: Mapping[UpdateState, int] = attrs.field(hash=False)
    missing: int = 0                    # blocks that its modules in transfer lack, together

    def count(self, *states: UpdateState) -> int:
        return sum(self.counts.get(one, 0) for one in states)

    @property
    def under_way(self) -> int:
        return self.total - self.count(UpdateState.WAITING, UpdateState.DONE, UpdateState.FAILED)


@attrs.frozen
class CampaignStatus:
    number: int
    image: Image
    request: CampaignRequest
    state: CampaignState
    stage: int                          # 0: canary; else number of the wave
    stages: tuple[StageStatus, ...]     # canary and waves
    drafter: str
    approver: str                       # "" = nobody has approved the waves yet
    made: int                           # ns, site time
    soak_ends: int                      # ns, site time; 0 outside the soak
    why: str                            # why it is paused or aborted
    tripped: bool                       # it has paused by itself
    failed_percent: float               # of the present stage's modules; failures that were forgiven do not count
    left_out: tuple[str, ...] = ()      # sentences: who was not selected, and why

    @property
    def total(self) -> int:
        return sum(one.total for one in self.stages)

    def count(self, *states: UpdateState) -> int:
        return sum(one.count(*states) for one in self.stages)


@attrs.frozen
class StoredImage:
    """An image as it was imported."""

    image: Image
    imported: int                       # ns, real time
    by: str
    signer: str                         # fingerprint of the key that signed it, if that is trusted now; else ""
