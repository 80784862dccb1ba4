"""Members as the journal keeps them: a compressed blob of columns for each concentrator, and not a row for each of them."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import numpy as np
import zstandard

from scada.dr_dispatch.members import Share
from scada.dr_dispatch.roll import Roll

LEVEL: Final = 1
LONGEST: Final = 1 << 26                # bytes of a blob unpacked
WHO: Final = (
    ("eui", "<u8"), ("indices", "u1"), ("load_class", "u1"), ("rated_w", "<f8"), ("flags", "u1"), ("obstacle", "u1"),
)
FAR: Final = (("state", "u1"), ("reason", "u1"), ("tries", "u1"), ("changed", "<i8"), ("executed", "<i8"), ("tried", "<i8"))


@attrs.frozen
class Part:
    """Who the members of one concentrator are; its hash is its name in the journal."""

    name: bytes
    blob: bytes


Press = Callable[[bytes], bytes]


def press() -> Press:
    """What compresses; for one thread."""
    return zstandard.ZstdCompressor(level=LEVEL).compress


def part_of(roll: Roll, place: int, pressed: Press) -> Part:
    at = roll.part(place)
    words = [roll.names[place], roll.links[place], roll.obstacles, roll.devices[at], roll.titles[at]]
    raw = _packed([np.asarray(getattr(roll, name)[at], dtype=kind) for name, kind in WHO], words)
    return Part(hashlib.sha256(raw).digest()[:16], pressed(raw))


def roll_from(blobs: Sequence[bytes]) -> Roll:
    """The roll that was packed into these, in their order."""
    parts = [_unpacked(blob, WHO) for blob in blobs]
    obstacles = tuple(dict.fromkeys(["", *(text for _, words in parts for text in words[2])]))
    code = {text: number for number, text in enumerate(obstacles)}
    columns: dict[str, Any] = {
        name: np.concatenate([part[name] for part, _ in parts] or [np.zeros(0, dtype=kind)])
        for name, kind in WHO if name != "obstacle"
    }
    columns["obstacle"] = np.concatenate([
        np.array([code[text] for text in words[2]], dtype=np.uint8)[part["obstacle"]] for part, words in parts
    ] or [np.zeros(0, dtype=np.uint8)])
    return Roll(
        **columns, obstacles=obstacles,
        devices=tuple(text for _, words in parts for text in words[3]),
        titles=tuple(text for _, words in parts for text in words[4]),
        starts=tuple(np.cumsum([0, *(len(part["eui"]) for part, _ in parts)]).tolist()),
        links=tuple(words[1] for _, words in parts), names=tuple(words[0] for _, words in parts),
    )


def packed(share: Share, pressed: Press) -> bytes:
    """How far the members of one concentrator have come."""
    return pressed(_packed([np.asarray(getattr(share, name), dtype=kind) for name, kind in FAR], share.reasons))


def share_from(blob: bytes) -> Share:
    columns, reasons = _unpacked(blob, FAR)
    return Share(**columns, reasons=tuple(reasons))


def _packed(columns: Sequence[Any], words: Any) -> bytes:
    count = len(columns[0]).to_bytes(4, "little")
    return b"".join([count, *(column.tobytes() for column in columns), json.dumps(words).encode()])


def _unpacked(blob: bytes, layout: Sequence[tuple[str, str]]) -> tuple[dict[str, Any], Any]:
    raw = zstandard.decompress(blob, LONGEST)
    count, at, columns = int.from_bytes(raw[:4], "little"), 4, {}
    for name, kind in layout:
        columns[name] = np.frombuffer(raw, dtype=kind, count=count, offset=at)
        at += columns[name].nbytes
    return columns, json.loads(raw[at:])
