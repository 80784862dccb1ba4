"""Faults of firmware on its way: power lost in the middle, an image of a stranger, one that is too old, one that fails."""

from typing import Final

from scada.simulate.faults.catalogue import Kind, fault
from scada.simulate.faults.rig import Rig, Undo

TAKEN: Final = 3                            # blocks of the campaign after which the power fails
OTHER_MAKER: Final = bytes(range(32))       # no point of the curve that anybody has the private key of
HIGH: Final = 0xFFFF_FFFF                   # an anti-rollback number that no image reaches


@fault(
    "reboot-in-firmware", Kind.CONCENTRATOR,
    does="Its power fails while it takes the blocks of an image.",
    shows="It restarts, which is an event; the transfer goes on from the blocks it lacks, and its modules run the version.",
    expect=("event.CONCENTRATOR_RESTARTED >= 1", "firmware.done >= 50", "firmware.blocks_again <= 1"),
    command="campaign",
)
def reboot_in_firmware(rig: Rig) -> Undo:
    began, off = rig.state.firmware.blocks_taken, False

    def bend(piece: bytes) -> tuple[bytes, ...]:
        nonlocal off
        if not off and rig.state.firmware.blocks_taken >= began + TAKEN:
            off = True
            rig.client.cut()
            rig.state.restart(rig.now())
            return ()
        return (piece,)

    return rig.bend_up(bend)


@fault(
    "wrong-signature", Kind.CONCENTRATOR,
    does="Its modules have the key of another maker from the factory than the one that signed the image.",
    shows="It refuses the offer with CRYPTO: its modules have failed, the campaign pauses by itself, no wave begins.",
    expect=("firmware.failed_CRYPTO >= 1", "firmware.tripped == 1", "firmware.stage == 0"),
    command="campaign",
)
def wrong_signature(rig: Rig) -> Undo:
    before, rig.state.firmware.makers = rig.state.firmware.makers, (OTHER_MAKER,)

    def end() -> None:
        rig.state.firmware.makers = before

    return end


@fault(
    "firmware-rollback", Kind.MODULE,
    does="It ran firmware with a higher anti-rollback number than the image has, and says so only when it is asked again.",
    shows="It is never offered the image and has failed with both numbers named; the others are updated.",
    expect=("firmware.failed_ROLLBACK == 1", "firmware.done >= 49", "firmware.tripped == 0"),
    command="campaign",
)
def rollback(rig: Rig) -> Undo:
    device = rig.state.firmware.devices[rig.module]
    before, device.rollback = device.rollback, HIGH

    def end() -> None:
        device.rollback = before

    return end


@fault(
    "damaged-image", Kind.MODULE,
    does="Its copy of the image has a wrong bit.",
    shows="It fails the check with CRYPTO and is not told to start the image; the others are updated.",
    expect=("firmware.failed_CRYPTO == 1", "firmware.done >= 49", "firmware.tripped == 0"),
    command="campaign",
)
def damaged_image(rig: Rig) -> Undo:
    rig.state.firmware.damaged.add(rig.module)
    return lambda: rig.state.firmware.damaged.discard(rig.module)


@fault(
    "firmware-fallback", Kind.MODULE,
    does="With the new firmware it does not find its concentrator, and goes back to the old one after ten minutes.",
    shows="Success is the running version: it has failed with TIMEOUT and the version it runs; the others are updated.",
    expect=("firmware.failed_TIMEOUT == 1", "firmware.done >= 49", "firmware.tripped == 0"),
    command="campaign",
)
def fallback(rig: Rig) -> Undo:
    rig.state.firmware.deaf.add(rig.module)
    return lambda: rig.state.firmware.deaf.discard(rig.module)
