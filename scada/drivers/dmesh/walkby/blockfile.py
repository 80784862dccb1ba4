"""The DMLP form of a walk-by file (docs/walk-by.md): a sequence of PROFILE blocks that carry their EUIs.

A damaged record costs itself only, as long as its length can be believed.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from scada.arrays import distinct
from scada.drivers.dmesh import profile_decode, wire
from scada.drivers.dmesh.numbers import MAX_MODULES
from scada.drivers.dmesh.rejected import Rejected
from scada.drivers.dmesh.walkby.parts import FROM_A_WALK, MAX_CELLS, Complaints, Read, ill_timed
from scada.intervals import HOURLY, IntervalBlock

MAGIC: Final = b"DMWB"
VERSION: Final = 1
HEAD: Final = MAGIC + bytes((VERSION, 0, 0, 0))
MAX_RECORD: Final = 1 << 18             # bytes of CBOR
EUIS: Final = 11                        # key of a block: the modules that its indices count from 1
_U32: Final = struct.Struct(">I")


def read(name: str, data: bytes, now_hour: int | None, received: int) -> Read:
    """Everything usable of a block file, and every problem of the rest."""
    complaints = Complaints(name)
    blocks: list[IntervalBlock] = []
    if data[: len(HEAD)] != HEAD:
        complaints.add("head", f"{data[:len(HEAD)].hex()}; expected {HEAD.hex()} (DMWB, version {VERSION})")
        return Read(name, (), complaints.all())
    at, number, promised, cells = len(HEAD), 0, -1, 0
    while at < len(data):
        place = f"record {number} at byte {at}"
        length = _U32.unpack_from(data, at)[0] if at + 4 <= len(data) else 0
        end = at + 4 + length
        if not 1 <= length <= MAX_RECORD or end + 4 > len(data):
            complaints.add(place, f"{len(data) - at} bytes left, length {length}; expected 1 to {MAX_RECORD}, and its CRC")
            break
        if zlib.crc32(memoryview(data)[at:end]) != _U32.unpack_from(data, end)[0]:
            complaints.add(place, "does not match its CRC-32; the record is left out")
        elif number == 0:
            promised = _promised(data[at + 4:end])
            if promised < 0:
                complaints.add(place, "expected a map with the number of blocks under key 2")
        else:
            found = _block(data[at + 4:end], now_hour, received)
            if isinstance(found, str):
                complaints.add(place, found)
            else:
                cells += found.counts.size
                if cells > MAX_CELLS:
                    complaints.add(place, f"more than {MAX_CELLS:,} intervals; the rest is left out, split the file")
                    return Read(name, tuple(blocks), complaints.all())
                blocks.append(found)
        at, number = end + 4, number + 1
    if promised >= 0 and max(0, number - 1) != promised:
        complaints.add("", f"{max(0, number - 1)} blocks; expected {promised}, as record 0 says")
    return Read(name, tuple(blocks), complaints.all())


def write(blocks: Iterable[Mapping[int, Any]], collector: str, read_at: int) -> bytes:
    """A file of block maps (as `profile.encode` makes them, with key 11), read at a UTC second."""
    maps = list(blocks)
    records = [wire.pack({0: collector, 1: read_at, 2: len(maps)}), *(wire.pack(dict(one)) for one in maps)]
    parts = [HEAD]
    for body in records:
        plain = _U32.pack(len(body)) + body
        parts += [plain, _U32.pack(zlib.crc32(plain))]
    return b"".join(parts)


def _promised(body: bytes) -> int:
    found = wire.unpack(body)
    count = found.get(2) if isinstance(found, Mapping) else None
    return count if type(count) is int and count >= 0 else -1


def _block(body: bytes, now_hour: int | None, received: int) -> IntervalBlock | str:
    """One block, or what is wrong with it."""
    found = wire.unpack(body)
    if isinstance(found, Rejected):
        return f"{found.detail}; expected a CBOR map"
    decoded = profile_decode.decode(found)
    if isinstance(decoded, Rejected):
        return decoded.detail
    raw = found.get(EUIS)
    if type(raw) is not bytes or len(raw) % 8 or not 1 <= len(raw) // 8 <= MAX_MODULES:
        return f"euis: expected 1 to {MAX_MODULES} EUIs of 8 bytes under key {EUIS}"
    euis = np.frombuffer(raw, dtype=">u8").astype(np.uint64)
    if not euis.all() or len(distinct(euis)) < len(euis):
        return "euis: expected EUIs that are not 0, each once"
    if int(decoded.index.max()) > len(euis):
        return f"module index {int(decoded.index.max())}; the block carries {len(euis)} EUIs"
    end = decoded.first_hour + -(-decoded.counts.shape[1] * decoded.interval_s // HOURLY)
    if reason := ill_timed(decoded.first_hour, end, now_hour):
        return f"hour {decoded.first_hour} {reason}"
    return IntervalBlock(
        euis[decoded.index.astype(np.int64) - 1], decoded.channel, decoded.first, decoded.counts, decoded.register,
        decoded.status, FROM_A_WALK, received, decoded.interval_s,
    )
