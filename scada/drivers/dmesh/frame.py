"""DMLP frames: bytes in, events out; no I/O and no clock (docs/dmlp.md, "Frame").

The length is trusted only after the header's own CRC, so that noise can never make the decoder wait for 64 KiB.
"""

import binascii
import struct
import zlib
from typing import Final

import attrs

from scada.drivers.dmesh.rejected import Reject, Rejected

MAGIC: Final = b"DM"
VERSION: Final = 0x10                   # 1.0, major in the high nibble
SEC: Final = 0x80                       # flag: the body is sealed
HEADER: Final = 12
TRAILER: Final = 4
DEFAULT_MAX_FRAME: Final = 4096         # bytes of body
SERIAL_MAX_FRAME: Final = 1024
HIGHEST_MAX_FRAME: Final = 16384

_FIELDS: Final = struct.Struct(">2sBBHI")
_HEAD: Final = struct.Struct(">2sBBHIH")                    # the same and their CRC
_CRC16: Final = struct.Struct(">H")
_CRC32: Final = struct.Struct(">I")
FALSE: Final = Rejected(Reject.HEADER_CRC)


@attrs.frozen
class Frame:
    """One frame whose two checksums hold; the body is plain CBOR, or sealed where `secured`."""

    link_id: int
    body: bytes
    secured: bool = False
    head: bytes = attrs.field(default=b"", eq=False, repr=False)    # where it is known already: made or received

    @property
    def header(self) -> bytes:
        """The 12 bytes that are associated data of a sealed body."""
        return self.head or header(self.link_id, len(self.body), secured=self.secured)


def header(link_id: int, length: int, *, secured: bool) -> bytes:
    """Header of a frame with `length` bytes of body."""
    fields = _FIELDS.pack(MAGIC, VERSION, SEC if secured else 0, length, link_id)
    return fields + _CRC16.pack(binascii.crc_hqx(fields, 0xFFFF))


def encode(frame: Frame) -> bytes:
    """The bytes of a frame. Raises `ValueError` for a body no peer may accept."""
    if len(frame.body) > HIGHEST_MAX_FRAME:
        raise ValueError(f"a body of {len(frame.body)} bytes; at most {HIGHEST_MAX_FRAME} are allowed")
    content = frame.header + frame.body
    return content + _CRC32.pack(zlib.crc32(content))


class FrameDecoder:
    """Finds frames in a stream; what it keeps from one piece to the next is less than one frame of `max_frame`."""

    def __init__(self, max_frame: int = DEFAULT_MAX_FRAME) -> None:
        self.max_frame = max_frame
        self._kept = b""

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._kept)

    def feed(self, data: bytes) -> list[Frame | Rejected]:
        """Take what came in; return what it completes, in order."""
        events: list[Frame | Rejected] = []
        data = self._kept + data if self._kept else data
        self._kept = data[self._scan(data, events):]
        return events

    def silence(self) -> list[Frame | Rejected]:
        """A serial line was silent for 100 ms: what is half there will never be completed."""
        dropped, self._kept = len(self._kept), b""
        return [Rejected(Reject.NOISE, "silence inside a frame", count=dropped)] if dropped else []

    def _scan(self, data: bytes, events: list[Frame | Rejected]) -> int:
        """Where what is not complete begins."""
        at = noise_from = 0
        false = 0                                           # magics that began no frame: one event for a run of them
        while True:
            found = data.find(MAGIC, at)
            if found < 0:
                # the last byte may be the first half of a magic
                at = len(data) - (1 if data.endswith(MAGIC[:1]) and len(data) > at else 0)
                break
            verdict = self._look(data, found)
            if verdict is None:
                at = found
                break
            if verdict is FALSE:
                false += 1
                at = found + 1
                continue
            if false or found > noise_from:
                _noise(events, found - noise_from, false)
                false = 0
            at = noise_from = found + (HEADER + len(verdict.body) + TRAILER if isinstance(verdict, Frame) else 2)
            events.append(verdict)
        _noise(events, at - noise_from, false)
        return at

    def _look(self, data: bytes, at: int) -> Frame | Rejected | None:
        """What begins at the magic at `at`; None while it is incomplete."""
        head = data[at:at + HEADER]
        if len(head) < HEADER:
            return None
        _, version, flags, length, link_id, check = _HEAD.unpack(head)
        if binascii.crc_hqx(head[:_FIELDS.size], 0xFFFF) != check:
            return FALSE
        if version >> 4 != VERSION >> 4:
            return Rejected(Reject.VERSION, f"major version {version >> 4}")
        if flags & ~SEC:
            return Rejected(Reject.FLAGS, f"flags {flags:#04x}")
        if length > self.max_frame:
            return Rejected(Reject.TOO_LONG, f"{length} bytes; {self.max_frame} were agreed")
        end = at + HEADER + length
        if len(data) < end + TRAILER:
            return None
        if zlib.crc32(memoryview(data)[at:end]) != _CRC32.unpack_from(data, end)[0]:
            return Rejected(Reject.FRAME_CRC)
        return Frame(link_id, data[at + HEADER:end], bool(flags & SEC), head)


def _noise(events: list[Frame | Rejected], count: int, false: int) -> None:
    """Bytes that are in no frame, and how many magics were among them."""
    if false:
        events.append(Rejected(Reject.HEADER_CRC, count=false))
    if count:
        events.append(Rejected(Reject.NOISE, count=count))
