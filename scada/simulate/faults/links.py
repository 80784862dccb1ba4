"""Faults of a concentrator's connection as a whole: stuck, half-open, flapping, slow, gone, doubled."""

from collections.abc import Iterable
from typing import Final

import attrs

from scada.drivers.dmesh import frame, messages
from scada.drivers.dmesh.frame import Frame
from scada.drivers.dmesh.simulator.line import is_sealed
from scada.simulate.faults.catalogue import Kind, fault
from scada.simulate.faults.rig import Rig, Undo

FLAP_EVERY: Final = 6                       # frames between two breaks of a flapping link
SLOW_BYTES_S: Final = 60.0                  # a GPRS cell on a bad day


def _nothing(piece: bytes) -> Iterable[bytes]:
    return ()


@fault(
    "stuck-window", Kind.LINK,
    does="Nothing of the server reaches the concentrator: its credit is used up, it sends no more records.",
    shows="Silence ends the session; afterwards what was sent already is taken as here, not as new.",
    expect=("link.ups >= 1", "historian.conflicts == 0"),
)
def stuck(rig: Rig) -> Undo:
    undo = rig.bend_down(lambda piece: () if is_sealed(piece) else (piece,))

    def end() -> None:
        undo()
        rig.client.cut()

    return end


@fault(
    "half-open", Kind.LINK,
    does="The other end is gone without a word: the connection stands, nothing passes either way.",
    shows="After three times t3 of silence the link is down; when it is back, nothing is missing.",
    expect=("link.downs >= 1", "link.ups >= 1"),
)
def half_open(rig: Rig) -> Undo:
    up, down = rig.bend_up(_nothing), rig.bend_down(_nothing)

    def end() -> None:
        up()
        down()

    return end


@fault(
    "flapping-link", Kind.LINK,
    does="The connection breaks after every sixth frame.",
    shows="Many short sessions, each resumed from the cursor; nothing is missing, nothing is double.",
    expect=("link.ups >= 3", "historian.conflicts == 0"),
)
def flapping(rig: Rig) -> Undo:
    passed = 0

    def bend(piece: bytes) -> Iterable[bytes]:
        nonlocal passed
        passed += is_sealed(piece)
        if is_sealed(piece) and passed % FLAP_EVERY == 0:
            rig.client.cut()
            return ()
        return (piece,)

    return rig.bend_up(bend)


@fault(
    "slow-link", Kind.LINK,
    does="60 bytes a second go through, to the server.",
    shows="The session stays up and everything arrives, later.",
    expect=("link.downs == 0", "archive.minutes_behind >= 1"),
)
def slow(rig: Rig) -> Undo:
    rig.line.bytes_per_s = SLOW_BYTES_S

    def end() -> None:
        rig.line.bytes_per_s = 0.0

    return end


@fault(
    "outage", Kind.LINK,
    does="The concentrator cannot be reached for as long as the fault lasts; then all that it kept comes at once.",
    shows="Its link is down; then the backlog comes as fast as credit allows, and no reading is missing or double.",
    expect=("link.downs >= 1", "link.ups >= 1", "historian.conflicts == 0", "hours.missing == 0"),
    lasts_h=6.0,
)
def outage(rig: Rig) -> Undo:
    rig.client.hold()
    return rig.client.release


@fault(
    "second-connection", Kind.LINK,
    does="A second connection with the same link id proves the same key.",
    shows="It replaces the first only after its proof, and that is an event.",
    expect=("dmesh.links_replaced >= 1", "event.LINK_REPLACED >= 1"),
)
def second(rig: Rig) -> Undo:
    rig.client.dial_again()
    return lambda: None


@fault(
    "old-version-hello", Kind.LINK,
    does="The concentrator's firmware is so old that it says HELLO for version 0.9 only.",
    shows="It is refused for its version and named; with its proper firmware it comes back and delivers everything.",
    expect=("dmesh.refused_version >= 1", "link.downs >= 1"),
)
def old_hello(rig: Rig) -> Undo:
    def bend(piece: bytes) -> Iterable[bytes]:
        if is_sealed(piece):
            return (piece,)
        (event,) = frame.FrameDecoder().feed(piece)
        packet = messages.decode(event.body) if isinstance(event, Frame) else None
        if not isinstance(packet, messages.Packet) or not isinstance(packet.message, messages.Hello):
            return (piece,)
        old = attrs.evolve(packet.message, min_version=0x09, max_version=0x09)
        return (frame.encode(Frame(rig.state.link_id, messages.encode(old))),)

    undo = rig.bend_up(bend)
    rig.client.cut()
    return undo
