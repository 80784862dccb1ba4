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
    """Finds frames in a stream; its buffer never exceeds 2 x max_frame."""

    def __init__(self, max_frame: int = DEFAULT_MAX_FRAME) -> None:
        self.max_frame = max_frame
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame | Rejected]:
        """Take what came in; return what it completes, in order."""
        events: list[Frame | Rejected] = []
        view = memoryview(data)
        while view:
            room = 2 * self.max_frame - len(self._buffer)
            self._buffer += view[:room]
            view = view[room:]
            self._scan(events)
        return events

    def silence(self) -> list[Frame | Rejected]:
        """A serial line was silent for 100 ms: what is half there will never be completed."""
        dropped = len(self._buffer)
        self._buffer.clear()
        return [Rejected(Reject.NOISE, "silence inside a frame", count=dropped)] if dropped else []

    def _scan(self, events: list[Frame | Rejected]) -> None:
        buffer, at, noise_from = self._buffer, 0, 0
        false = 0                                           # magics that began no frame: one event for a run of them
        while True:
            found = buffer.find(MAGIC, at)
            if found < 0:
                # the last byte may be the first half of a magic
                at = len(buffer) - (1 if buffer.endswith(MAGIC[:1]) and len(buffer) > at else 0)
                break
            if len(buffer) - found < HEADER:
                at = found
                break
            verdict = self._look(found)
            if verdict is None:
                at = found
                break
            if verdict is FALSE:
                false += 1
                at = found + 1
                continue
            _noise(events, found - noise_from, false)
            false = 0
            at = noise_from = found + (HEADER + len(verdict.body) + TRAILER if isinstance(verdict, Frame) else 2)
            events.append(verdict)
        _noise(events, at - noise_from, false)
        del buffer[:at]

    def _look(self, at: int) -> Frame | Rejected | None:
        """What begins at the magic at `at`; None while it is incomplete."""
        buffer = self._buffer
        head = bytes(buffer[at:at + HEADER])
        if binascii.crc_hqx(head[:10], 0xFFFF) != _CRC16.unpack_from(head, 10)[0]:
            return FALSE
        _, version, flags, length, link_id = _FIELDS.unpack_from(head)
        if version >> 4 != VERSION >> 4:
            return Rejected(Reject.VERSION, f"major version {version >> 4}")
        if flags & ~SEC:
            return Rejected(Reject.FLAGS, f"flags {flags:#04x}")
        if length > self.max_frame:
            return Rejected(Reject.TOO_LONG, f"{length} bytes; {self.max_frame} were agreed")
        end = at + HEADER + length
        if len(buffer) < end + TRAILER:
            return None
        if zlib.crc32(memoryview(buffer)[at:end]) != _CRC32.unpack_from(buffer, end)[0]:
            return Rejected(Reject.FRAME_CRC)
        return Frame(link_id, bytes(buffer[at + HEADER:end]), bool(flags & SEC), head)


def _noise(events: list[Frame | Rejected], count: int, false: int) -> None:
    """Bytes that are in no frame, and how many magics were among them."""
    if false:
        events.append(Rejected(Reject.HEADER_CRC, count=false))
    if count:
        events.append(Rejected(Reject.NOISE, count=count))
