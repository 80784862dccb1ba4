"""Firmware (0x58): a signed manifest, blocks, what is missing, and which version runs."""

import hashlib
from typing import Annotated, Final

import attrs

from scada.drivers.dmesh import wire
from scada.drivers.dmesh.messages.base import NONE, U8, U16, U32, Bitmap, Bool, ImageId, Message, Parent, Seconds, numbered
from scada.drivers.dmesh.numbers import Type
from scada.drivers.dmesh.rejected import Reject, Rejected
from scada.drivers.dmesh.wire import Int, Many, Octets, Text

MANIFEST_LABEL: Final = b"DMLP1 firmware"
MAX_BLOCK: Final = 896                  # bytes of image a frame of 1,024 carries, sealed
BLOCKS_AN_ENTRY: Final = 4096


@attrs.frozen
class Manifest:
    """What is signed. It travels as bytes: a later version's keys stay under the signature."""

    vendor: Annotated[str, Text(32), 0]
    hardware: Annotated[str, Text(32), 1]                               # class this image is for
    version: Annotated[str, Text(32), 2]
    rollback: Annotated[U32, 3]                                         # a device never goes below the highest it ran
    size: Annotated[int, Int(1, 0x0100_0000), 4]                        # bytes of the image
    sha256: Annotated[bytes, Octets(32, 32), 5]                         # of the image
    block_size: Annotated[int, Int(16, MAX_BLOCK), 6]                   # bytes; the last block may be shorter

    @property
    def blocks(self) -> int:
        return -(-self.size // self.block_size)


@numbered(Type.FW_OFFER)
@attrs.frozen
class FwOffer(Message):
    manifest: Annotated[bytes, Octets(1, 512), 0]                       # `manifest_body`
    signature: Annotated[bytes, Octets(64, 64), 1]                      # Ed25519, see `signed_part`
    modules: Annotated[Bitmap, 2] = NONE                                # who shall have it
    concentrator: Annotated[Bool, 3] = False                            # it is for the concentrator itself
    generation: Annotated[U32, 4] = 0                                   # of the list `modules` is from; 0: not said


@numbered(Type.FW_BLOCK)
@attrs.frozen
class FwBlock(Message):
    image: Annotated[ImageId, 0]
    number: Annotated[U32, 1]                                           # from 0
    data: Annotated[bytes, Octets(1, MAX_BLOCK), 2]


@attrs.frozen
class Missing:
    """Blocks that one device lacks. Bit i, least significant first, is block `first` + i; empty: it lacks none."""

    index: Annotated[Parent, 0]                                         # 0: the concentrator itself
    first: Annotated[U32, 1] = 0
    blocks: Annotated[bytes, Octets(0, BLOCKS_AN_ENTRY // 8), 2] = b""


@numbered(Type.FW_MISSING)
@attrs.frozen
class FwMissing(Message):
    """What the devices of an offer lack; the pages of one account share `time`."""

    image: Annotated[ImageId, 0]
    page: Annotated[U16, 1]
    pages: Annotated[U16, 2]
    time: Annotated[Seconds, 3]
    devices: Annotated[tuple[Missing, ...], Many(Missing, 256), 4]
    generation: Annotated[U32, 5] = 0                                   # of the module list; 0: the current one


@numbered(Type.FW_VERIFY)
@attrs.frozen
class FwVerify(Message):
    """Check the whole image against its manifest; how it went comes with FW_STATUS."""

    image: Annotated[ImageId, 0]
    modules: Annotated[Bitmap, 1] = NONE
    concentrator: Annotated[Bool, 2] = False
    generation: Annotated[U32, 3] = 0                                   # as of FW_OFFER


@numbered(Type.FW_ACTIVATE)
@attrs.frozen
class FwActivate(Message):
    """Start the verified image; who comes back with it says so in FW_STATUS."""

    image: Annotated[ImageId, 0]
    modules: Annotated[Bitmap, 1] = NONE
    concentrator: Annotated[Bool, 2] = False
    at: Annotated[Seconds, 3] = 0                                       # site time; 0: at once
    generation: Annotated[U32, 4] = 0                                   # as of FW_OFFER


@attrs.frozen
class FwDevice:
    index: Annotated[Parent, 0]                                         # 0: the concentrator itself
    running: Annotated[str, Text(32), 1]                                # the version that runs, not the one that was sent
    hardware: Annotated[str, Text(32), 2] = ""
    rollback: Annotated[U32, 3] = 0                                     # highest anti-rollback number it ran
    image: Annotated[bytes, Octets(0, 8), 4] = b""                      # what it takes or took last; empty: none
    state: Annotated[U8, 5] = 0                                         # `FirmwareState` of that image
    code: Annotated[U8, 6] = 0                                          # `Code`: why it failed
    missing: Annotated[U32, 7] = 0                                      # blocks


@numbered(Type.FW_STATUS)
@attrs.frozen
class FwStatus(Message):
    page: Annotated[U8, 0]
    pages: Annotated[U8, 1]
    time: Annotated[Seconds, 2]
    devices: Annotated[tuple[FwDevice, ...], Many(FwDevice, 256), 3]
    generation: Annotated[U32, 4] = 0                                   # of the module list; 0: the current one


@numbered(Type.GET_FW_STATUS)
@attrs.frozen
class GetFwStatus(Message):
    page: Annotated[U8, 0] = 0


def manifest_body(manifest: Manifest) -> bytes:
    """The bytes that FW_OFFER carries."""
    return wire.pack(wire.dump_fields(manifest))


def read_manifest(body: bytes) -> Manifest | Rejected:
    """The manifest of an offer; its signature is checked over `body`, never over what was read from it."""
    content = wire.unpack(body)
    if isinstance(content, Rejected):
        return content
    try:
        return wire.load_fields(Manifest, content)
    except wire.Malformed as problem:
        return Rejected(Reject.FIELD, f"manifest: {problem}")


def signed_part(body: bytes) -> bytes:
    """What the signature of an offer is over: a label, so that it is good for nothing else, and the manifest's bytes."""
    return MANIFEST_LABEL + body


def image_id(body: bytes) -> bytes:
    """How the other messages name the image of a manifest."""
    return hashlib.sha256(signed_part(body)).digest()[:8]
