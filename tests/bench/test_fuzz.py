"""A short run of what `scada bench fuzz` does a million times, and proof that it would notice."""

from scada.bench.fuzz import Fuzz, measure
from scada.drivers.dmesh import messages
from scada.drivers.dmesh.messages import Packet
from scada.drivers.dmesh.numbers import Type
from scada.drivers.dmesh.rejected import Reject, Rejected

INPUTS = 12_000


def test_mutated_frames_and_messages_are_values_whatever_is_in_them() -> None:
    """Framer, seal, every decoder, blocks and manifests: nothing raises, no buffer grows, what is read comes back."""
    outcome = Fuzz(seed=7).run(INPUTS)

    assert outcome.escaped == []
    assert set(outcome.accepted) == {int(one) for one in Type}
    assert set(outcome.refused) == {int(one) for one in Type} - {Type.GET_INFO}         # which has no field to be wrong
    assert set(outcome.reasons) == set(Reject) - {Reject.REPLAY}                        # nobody counts counters here
    assert outcome.frames > INPUTS // 10


def test_the_same_seed_makes_the_same_inputs() -> None:
    """A finding can be run again."""
    assert Fuzz(3).run(400).digest == Fuzz(3).run(400).digest != Fuzz(4).run(400).digest


def test_an_exception_that_escapes_is_found_with_its_input() -> None:
    """A decoder that forgets one case."""

    def careless(body: bytes) -> Packet | Rejected:
        packet = messages.decode(body)
        if isinstance(packet, Packet) and isinstance(packet.message, messages.FwBlock):
            raise KeyError("forgotten")
        return packet

    outcome = Fuzz(7, careless).run(INPUTS // 4)

    assert outcome.failures >= len(outcome.escaped) > 0
    assert all("KeyError: 'forgotten'" in one for one in outcome.escaped)
    found = bytes.fromhex(outcome.escaped[-1].rsplit(": ", 1)[1])
    assert bytes([0x83, 0x18, Type.FW_BLOCK]) in found      # the input itself, to be run again


def test_a_message_that_does_not_come_back_is_found() -> None:
    """A decoder that reads something else than what was sent."""

    def inventive(body: bytes) -> Packet | Rejected:
        packet = messages.decode(body)
        return Packet(packet.message, -1) if isinstance(packet, Packet) else packet

    outcome = Fuzz(7, inventive).run(INPUTS // 10)

    assert outcome.failures > 0


def test_the_measurement_reports_what_it_did() -> None:
    """Figures with their ids."""
    figures = {figure.id: figure.value for figure in measure(inputs=500)}

    assert figures["fuzz_inputs"] == 500
    assert figures["fuzz_escaped"] == 0
    assert figures["fuzz_rate"] > 0
