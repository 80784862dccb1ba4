"""Reading on demand at the simulated concentrator: true registers after radio latency, and one end for every module."""

from typing import Any

import numpy as np
import pytest

from scada.drivers.dmesh import messages, sets
from scada.drivers.dmesh.messages import Packet, ReadNow, ReadResult, Result
from scada.drivers.dmesh.numbers import Capability, Code
from tests.drivers.dmesh.test_simulator_session import T0, bench

READ_ID = bytes(range(16))


def order(*indices: int, within: float = 600, read_id: bytes = READ_ID) -> ReadNow:
    return ReadNow(read_id, sets.bitmap(indices), int(T0 + within))


def parts(peer: Any) -> list[ReadResult]:
    return list(peer.of(ReadResult))


def results(peer: Any) -> dict[tuple[int, int], tuple[int, int]]:
    """(index, channel) -> (code, register) of all parts together."""
    return {(one.index, one.channel): (one.code, one.register) for part in parts(peer) for one in part.readings}


def test_it_says_that_it_can_and_accepts() -> None:
    _, peer = bench().session()

    assert peer.hello.capabilities & Capability.READ_NOW
    assert peer.ask(order(1)) == Result(Code.ACCEPTED)


def test_registers_are_the_true_ones_of_the_moment_the_module_read_them() -> None:
    """The answer takes its time by radio; the register is of the reading, not of the arrival."""
    one = bench()
    one.state.outputs.register = lambda eui, channel: int(one.now)
    _, peer = one.session()
    peer.ask(order(1, 2, 4))
    for second in range(1, 700):
        one.run(T0 + second)
    found = [reading for part in parts(peer) for reading in part.readings]

    assert {reading.index for reading in found if reading.code == Code.OK} == {1, 2, 4}
    assert all(0 <= reading.register - reading.time <= 1 for reading in found)
    assert [part.part for part in parts(peer)] == list(range(len(parts(peer))))
    assert [part.final for part in parts(peer)][-1] is True
    assert sum(part.final for part in parts(peer)) == 1


def test_nothing_is_there_before_the_radio_can_have_brought_it() -> None:
    one = bench()
    one.hour(0)
    _, peer = one.session()
    peer.ask(order(1, 2))
    one.run(T0 + 0.1)

    assert parts(peer) == []


def test_every_module_ends_in_one_way() -> None:
    """Registers of the last hour where the world says no more; an absent one has no route, an unowned index no owner."""
    one = bench(channels=2)
    one.hour(0)
    one.state.absent(4, int(T0) // 3600, int(T0) // 3600 + 9)
    _, peer = one.session()
    peer.ask(order(1, 4, 200))
    one.run(T0 + 700)

    assert results(peer) == {
        (1, 0): (Code.OK, 105), (1, 1): (Code.OK, 105),
        (4, 255): (Code.NO_ROUTE, 0), (200, 255): (Code.UNKNOWN, 0),
    }


def test_who_never_answers_is_a_timeout_at_the_deadline() -> None:
    """Not before, and then with the final part."""
    one = bench()
    one.hour(0)
    one.state.mesh.delivery[:] = 1e-6                       # every hop is lost
    _, peer = one.session()
    peer.ask(order(1, 2, within=300))
    one.run(T0 + 299)
    early = parts(peer)
    one.run(T0 + 301)

    assert early == []
    assert results(peer) == {(1, 255): (Code.TIMEOUT, 0), (2, 255): (Code.TIMEOUT, 0)}
    assert parts(peer)[-1].final


def test_a_repeated_order_starts_nothing_and_repeats_what_there_is() -> None:
    """In another session too: the parts come again from the first, and the radio is spared."""
    one = bench()
    one.hour(0)
    first, peer = one.session()
    peer.ask(order(1, 2))
    one.run(T0 + 700)
    told = parts(peer)
    first.lost()
    _, again = one.session()
    after_break = parts(again)
    answer = again.ask(order(1, 2))
    one.run(T0 + 701)

    assert after_break == told
    assert answer == Result(Code.DUPLICATE)
    assert parts(again) == told * 2
    assert one.state.reads.started == 1


def test_results_are_kept_until_the_final_part_was_answered() -> None:
    """RESULT OK to the final part, and the next session hears nothing of it any more."""
    one = bench()
    one.hour(0)
    first, peer = one.session()

    def answer(packet: Packet) -> None:
        if isinstance(packet.message, ReadResult) and packet.corr:
            peer.send_body(messages.encode(Result(Code.OK), packet.corr))

    peer.on_packet = answer
    peer.ask(order(1))
    one.run(T0 + 700)
    first.lost()
    _, again = one.session()

    assert parts(peer)[-1].final
    assert parts(again) == []


@pytest.mark.parametrize(
    ("asked", "code"),
    [(order(within=600), Code.BAD_ARGUMENT), (order(1, within=0), Code.EXPIRED)],
)
def test_what_cannot_be_read_is_refused(asked: ReadNow, code: Code) -> None:
    _, peer = bench().session()

    assert peer.ask(asked) == Result(code)


def test_too_many_reads_at_once_are_put_off() -> None:
    """BUSY with a time, and free again when one is over."""
    one = bench()
    one.hour(0)
    _, peer = one.session()
    said = [peer.ask(order(1, within=300, read_id=bytes([number] * 16))) for number in range(5)]
    one.run(T0 + 301)
    later = peer.ask(ReadNow(bytes([9] * 16), sets.bitmap([1]), int(T0 + 900)))

    assert [answer.code for answer in said] == [Code.ACCEPTED] * 4 + [Code.BUSY]
    assert said[-1].retry_after > 0
    assert later == Result(Code.ACCEPTED)


def test_long_results_fit_their_frames() -> None:
    """240 modules of three channels in frames of 1,024 bytes, each reading once."""
    one = bench(modules=240, channels=3, max_frame=1024)
    one.hour(0)
    _, peer = one.session()
    peer.ask(order(*range(1, 241), within=3600))
    one.run(T0 + 3700)
    found = [(reading.index, reading.channel) for part in parts(peer) for reading in part.readings]

    assert len(found) == len(set(found))
    assert {index for index, _ in found} == set(range(1, 241))
    assert parts(peer)[-1].final
    assert np.mean([reading.code == Code.OK for part in parts(peer) for reading in part.readings]) > 0.95
