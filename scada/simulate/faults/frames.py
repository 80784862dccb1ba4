"""Faults of single frames on the way to the server: lost, doubled, swapped, damaged, forged."""

import binascii
import struct
from collections.abc import Callable, Iterable
from typing import Final

from scada.drivers.dmesh.frame import HEADER
from scada.drivers.dmesh.simulator.line import Bend, is_sealed
from scada.simulate.faults.catalogue import Kind, fault
from scada.simulate.faults.rig import Rig, Undo

SHARE: Final = 0.3                          # of the sealed frames that are hit
_HEAD: Final = struct.Struct(">2sBBHI")


def _now_and_then(rig: Rig, hit: Callable[[bytes], Iterable[bytes]]) -> Bend:
    """Hit a share of the sealed frames; the handshake is left alone."""
    return lambda piece: hit(piece) if is_sealed(piece) and rig.dice.random() < SHARE else (piece,)


def _header(piece: bytes, *, version: int | None = None, length: int | None = None) -> bytes:
    """A frame with another header whose own CRC is right."""
    magic, old_version, flags, old_length, link_id = _HEAD.unpack_from(piece)
    fields = _HEAD.pack(magic, old_version if version is None else version, flags,
                        old_length if length is None else length, link_id)
    return fields + struct.pack(">H", binascii.crc_hqx(fields, 0xFFFF)) + piece[HEADER:]


@fault(
    "lost-frames", Kind.LINK,
    does="Three frames in ten to the server are lost.",
    shows="A gap in the record numbers ends the session; the next one resumes from the cursor, and nothing is missing.",
    expect=("link.ups >= 1",),
    lasts_h=20.0,
)
def lost(rig: Rig) -> Undo:
    return rig.bend_up(_now_and_then(rig, lambda piece: ()))


@fault(
    "doubled-frames", Kind.LINK,
    does="Three frames in ten to the server arrive twice.",
    shows="The second one is dropped and counted as a replay; no reading counts twice.",
    expect=("dmesh.dropped_replay >= 1", "historian.conflicts == 0"),
)
def doubled(rig: Rig) -> Undo:
    return rig.bend_up(_now_and_then(rig, lambda piece: (piece, piece)))


@fault(
    "swapped-frames", Kind.LINK,
    does="Three frames in ten to the server arrive behind the one that followed.",
    shows="The late one is a replay; a gap in the record numbers ends the session, and the next one resumes.",
    expect=("dmesh.dropped_replay >= 1",),
)
def swapped(rig: Rig) -> Undo:
    kept: list[bytes] = []

    def bend(piece: bytes) -> Iterable[bytes]:
        if not is_sealed(piece):
            kept.clear()                    # a new connection: what was kept belongs to the old one
            return (piece,)
        if kept:
            return (piece, kept.pop())
        if rig.dice.random() < SHARE:
            kept.append(piece)
            return ()
        return (piece,)

    return rig.bend_up(bend)


@fault(
    "corrupt-frames", Kind.LINK,
    does="A bit of three frames in ten to the server is flipped, in its body.",
    shows="The frame is dropped for its CRC and counted; the session resumes, and nothing is missing.",
    expect=("dmesh.dropped_frame_crc >= 1",),
)
def corrupt(rig: Rig) -> Undo:
    def flip(piece: bytes) -> Iterable[bytes]:
        at = rig.dice.randrange(HEADER, len(piece))
        return (piece[:at] + bytes([piece[at] ^ 1 << rig.dice.randrange(8)]) + piece[at + 1:],)

    return rig.bend_up(_now_and_then(rig, flip))


@fault(
    "bad-header-crc", Kind.LINK,
    does="A bit of the length of three frames in ten to the server is flipped.",
    shows="The length is not believed: a header CRC is counted, and the frame behind it is found.",
    expect=("dmesh.dropped_header_crc >= 1", "dmesh.dropped_too_long == 0"),
)
def bad_header(rig: Rig) -> Undo:
    return rig.bend_up(_now_and_then(rig, lambda piece: (piece[:4] + bytes([piece[4] ^ 0x40]) + piece[5:],)))


@fault(
    "oversize-length", Kind.LINK,
    does="Three frames in ten claim a body of 65,535 bytes, with a right header CRC.",
    shows="Nothing waits for so many bytes: too long, counted; the session resumes.",
    expect=("dmesh.dropped_too_long >= 1",),
)
def oversize(rig: Rig) -> Undo:
    return rig.bend_up(_now_and_then(rig, lambda piece: (_header(piece, length=0xFFFF),)))


@fault(
    "old-version-frames", Kind.LINK,
    does="Three frames in ten are of protocol version 0.9, with a right header CRC.",
    shows="It is dropped and counted by its version; the session resumes.",
    expect=("dmesh.dropped_version >= 1",),
)
def old_version(rig: Rig) -> Undo:
    return rig.bend_up(_now_and_then(rig, lambda piece: (_header(piece, version=0x09),)))


@fault(
    "replay", Kind.LINK,
    does="Frames recorded in this session and in an older one are played again.",
    shows="Those of this session are replays, those of the older one do not open; nothing is executed or stored again.",
    expect=("dmesh.dropped_replay >= 1", "dmesh.dropped_crypto >= 1", "historian.conflicts == 0"),
)
def replay(rig: Rig) -> Undo:
    recorded: list[bytes] = []
    older: list[bytes] = []

    def bend(piece: bytes) -> Iterable[bytes]:
        if not is_sealed(piece):
            older[:] = [*older, *recorded][-4:]
            recorded.clear()
            return (piece,)
        recorded[4:] = [piece]
        if len(recorded) > 4 and not older:
            rig.client.cut()                # there has to be an older session
            return ()
        return (piece, *older[:1], recorded[0])

    return rig.bend_up(bend)


@fault(
    "noise", Kind.LINK,
    does="A modem puts 40 bytes of noise before three frames in ten.",
    shows="It is counted as noise and costs nothing else.",
    expect=("dmesh.dropped_noise >= 40", "link.ups == 0"),
)
def noise(rig: Rig) -> Undo:
    return rig.bend_up(_now_and_then(rig, lambda piece: (bytes(40) + piece,)))
