"""The simulated concentrator's side of a session, against a server made of the codec alone, wired by memory."""

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

from scada.clock import HOUR_S
from scada.commands import Action, LoadClass
from scada.drivers.dmesh import messages, profile_decode, sets
from scada.drivers.dmesh import profile as profiles
from scada.drivers.dmesh.frame import Frame
from scada.drivers.dmesh.frame import encode as encode_frame
from scada.drivers.dmesh.messages import (
    ArchAck,
    ArchRead,
    Close,
    CommandReport,
    CommandStatus,
    Error,
    EventAck,
    Events,
    GetInfo,
    GetModules,
    GetTopology,
    Info,
    KeyConfirm,
    LinkStats,
    Message,
    ModuleJoined,
    Ping,
    Pong,
    ProfileMessage,
    Result,
    TimeSet,
    Topology,
)
from scada.drivers.dmesh.numbers import ANSWERS, EITHER, FROM_CONCENTRATOR, ClockMode, Code, Reason, Type
from scada.drivers.dmesh.simulator.actuator import Actuator
from scada.drivers.dmesh.simulator.session import ConcentratorSession, Phase
from scada.drivers.dmesh.simulator.state import ConcentratorState, Outputs, SimModule
from scada.events import EventCode
from tests.drivers.dmesh.samples import SAMPLES
from tests.simulate.peer import Peer, command, group_set, key_put

LINK, KEY = 0x00010203, bytes(range(16))
ONE_WAY = {Type.CHALLENGE, Type.READY, Type.WAKE, Type.ARCH_ACK, Type.EVENT_ACK}     # nothing answers these
T0 = 1_767_261_600.0                        # a full hour
HOUR = int(T0) // HOUR_S


@attrs.define
class Bench:
    """One concentrator and whoever calls itself its server."""

    state: ConcentratorState
    switched: list[tuple[int, bool, float]] = attrs.field(factory=list)
    acknowledged: list[int] = attrs.field(factory=list)
    closed: list[str] = attrs.field(factory=list)
    now: float = T0

    def session(self, key: bytes = KEY, **terms: Any) -> tuple[ConcentratorSession, Peer]:
        """Connect by memory; what either side writes arrives at once."""
        to_server: list[Callable[[bytes], None]] = []
        session = ConcentratorSession(
            self.state, bytes(16), lambda data: to_server[0](data), self.closed.append, lambda: self.now
        )
        peer = Peer(key, session.receive, **terms)
        to_server.append(peer.receive)
        session.start()
        return session, peer

    def run(self, until: float) -> None:
        self.now = until
        self.state.control.run(until)

    def hour(self, number: int, pulses: int = 5) -> None:
        modules = self.state._all
        eui = np.array([one.eui for one in modules for _ in range(one.channels)], dtype=np.uint64)
        channel = np.array([number for one in modules for number in range(one.channels)], dtype=np.uint8)
        n = len(eui)
        self.state.close_hour(
            HOUR + number, eui, channel, np.full(n, 100 + number * pulses), np.full(n, pulses), np.zeros(n, dtype=np.uint8)
        )


def eui(index: int) -> int:
    return 0x02DF_0000_0000_0000 + index


def bench(modules: int = 8, channels: int = 1, max_frame: int = 4096, out_of_reach: float = 0.0,
          archive_depth: int = 1000, **more: Any) -> Bench:
    """Modules 1, 2, … with a boiler each; number 3 is marked NEVER, number 4 is an EV, number 5 has no actuator."""

    def actuator(index: int) -> Actuator | None:
        if index == 5:
            return None
        return Actuator(LoadClass.GREEN if index == 4 else LoadClass.YELLOW, never=index == 3)

    outputs = Outputs()
    state = ConcentratorState(
        LINK, KEY,
        tuple(SimModule(index, eui(index), channels, actuator=actuator(index), **more.get(f"m{index}", {}))
              for index in range(1, modules + 1)),
        started=T0, archive_id=77, boot_id=1, max_frame=max_frame, outputs=outputs,
        out_of_reach=out_of_reach, archive_depth=archive_depth,
    )
    made = Bench(state)
    outputs.on_supply = lambda eui, supplied, at: made.switched.append((eui, supplied, at))
    outputs.on_acknowledged = made.acknowledged.append
    return made


def commanded(one: Bench, *members: int) -> tuple[ConcentratorSession, Peer]:
    """A session whose server has put key and members of group 1."""
    session, peer = one.session()
    peer.ask(key_put(KEY, 1, 1))
    peer.ask(group_set(1, 1, {index: eui(index) for index in members}))
    return session, peer


# ----------------------------------------------------------------------------------------------- handshake
def test_both_sides_prove_the_key_and_the_session_is_up() -> None:
    """HELLO, CHALLENGE, AUTH, READY; then the tree, statistics and the first event; the module list when asked for."""
    session, peer = bench().session()

    assert session.phase is Phase.UP
    assert peer.proven
    assert peer.hello is not None
    assert peer.hello.min_version <= 0x10 <= peer.hello.max_version
    assert peer.hello.archive_id == 77
    assert [entry.eui for entry in peer.ask(GetModules()).modules] == [eui(i) for i in range(1, 9)]
    assert len(peer.of(Topology)[0].nodes) == len(peer.of(LinkStats)[0].nodes) == 8
    assert peer.of(Events)[0].events[0].code == EventCode.CONCENTRATOR_RESTARTED


def test_a_server_without_our_key_gets_a_reason_and_no_proof() -> None:
    """The concentrator says CLOSE instead of AUTH: it proves nothing to somebody who proved nothing."""
    one = bench()
    session, peer = one.session(key=bytes(16))

    assert session.phase is Phase.DOWN
    assert one.closed == ["the server does not hold our key"]
    assert [packet.message for packet in peer.got] == [Close(int(Reason.BAD_KEY), "the server does not hold our key")]
    assert not peer.proven


def test_a_close_of_the_server_ends_the_session_with_its_reason() -> None:
    """A refusal is named, so that the log says why."""
    one = bench()
    session, peer = one.session()
    peer.send(Close(int(Reason.SHUTDOWN)))

    assert session.phase is Phase.DOWN
    assert one.closed == ["the server closed: SHUTDOWN"]
    assert one.state.listener is None


def test_the_byte_stream_may_come_in_any_pieces() -> None:
    """A server's bytes one at a time make the same session."""
    one = bench()
    to_server: list[bytes] = []
    session = ConcentratorSession(one.state, bytes(16), to_server.append, one.closed.append, lambda: one.now)
    replies: list[bytes] = []
    peer = Peer(KEY, replies.append)
    session.start()
    for _ in range(3):
        peer.receive(b"".join(to_server))
        to_server.clear()
        for byte in b"".join(replies):
            session.receive(bytes([byte]))
        replies.clear()

    assert session.phase is Phase.UP


def test_garbage_and_replays_are_counted_and_change_nothing() -> None:
    """Noise and a recorded frame are dropped; the session goes on."""
    one = bench()
    session, peer = one.session()
    sent: list[bytes] = []
    through, peer.write = peer.write, sent.append
    peer.send(Ping(1), request=True)
    through(sent[0])
    before = len(peer.of(Pong))
    through(sent[0])
    through(b"garbage DM garbage")

    assert session.rejected >= 1
    assert len(peer.of(Pong)) == before == 1


# ------------------------------------------------------------------------------------------------- archive
def test_the_archive_is_streamed_from_the_cursor() -> None:
    """Three hours were closed; a server that holds two gets the third."""
    one = bench()
    for number in range(3):
        one.hour(number)
    _, peer = one.session(cursor=2)

    assert [message.record for message in peer.of(ProfileMessage)] == [3]
    assert one.acknowledged == [2]


def test_no_more_than_the_credit_is_under_way() -> None:
    """Ten records wait; two may be under way; each acknowledgement lets the next ones go."""
    one = bench()
    for number in range(10):
        one.hour(number)
    _, peer = one.session(credit=2)
    assert [message.record for message in peer.of(ProfileMessage)] == [1, 2]

    peer.send(ArchAck(1, 3))
    assert [message.record for message in peer.of(ProfileMessage)] == [1, 2, 3, 4]
    peer.send(ArchAck(4, 3))

    assert [message.record for message in peer.of(ProfileMessage)] == list(range(1, 8))
    assert one.acknowledged == [1, 4]


def test_a_new_hour_is_pushed_at_once() -> None:
    """While a session is up, an hour that ends is delivered without being asked for."""
    one = bench()
    _, peer = one.session()
    one.hour(0, pulses=7)
    block = profile_decode.decode(peer.of(ProfileMessage)[0].block)

    assert isinstance(block, profiles.Profile)
    assert block.first_hour == HOUR
    assert block.counts.tolist() == [[7]] * 8


def test_after_a_break_unacknowledged_records_come_again() -> None:
    """The connection dies with two records under way: the next session starts where the server says it is."""
    one = bench()
    session, peer = one.session(credit=2)
    for number in range(3):
        one.hour(number)
    session.lost()
    _, again = one.session(cursor=1)

    assert [message.record for message in peer.of(ProfileMessage)] == [1, 2]
    assert [message.record for message in again.of(ProfileMessage)] == [2, 3]


def test_a_server_restored_from_a_backup_gets_again_what_it_once_acknowledged_within_the_credit() -> None:
    """The cursor of READY counts, not the one of better days: else more comes than may be under way, for ever."""
    one = bench()
    for number in range(10):
        one.hour(number)
    _, before = one.session(credit=10)
    before.send(ArchAck(10, 10))
    _, peer = one.session(cursor=3, credit=2)
    assert [message.record for message in peer.of(ProfileMessage)] == [4, 5]

    peer.send(ArchAck(5, 2))
    assert [message.record for message in peer.of(ProfileMessage)] == [4, 5, 6, 7]


def test_an_acknowledgement_of_what_was_never_sent_is_not_believed() -> None:
    """A wrong server that acknowledges the future acknowledges at most what it was sent."""
    one = bench()
    for number in range(5):
        one.hour(number)
    _, peer = one.session(credit=2)
    peer.send(ArchAck(99, 1))

    assert one.acknowledged == [2]


def test_records_are_split_to_fit_the_frame() -> None:
    """240 modules of three channels do not fit one frame of 1024: several records, every channel once, none too long."""
    one = bench(modules=240, channels=3, max_frame=1024)
    one.hour(0)
    frames: list[int] = []
    _, peer = one.session(credit=64, max_frame=1024)
    peer.on_packet = lambda packet: frames.append(len(messages.encode(packet.message, packet.corr)))
    one.hour(1)
    rows = [
        (int(index), int(channel)) for message in peer.of(ProfileMessage)
        for block in (profile_decode.decode(message.block),)
        if isinstance(block, profiles.Profile) and block.first_hour == HOUR
        for index, channel in zip(block.index, block.channel, strict=True)
    ]

    assert max(frames) <= 1024 - 13
    assert len(frames) > 4
    assert sorted(rows) == [(index, channel) for index in range(1, 241) for channel in range(3)]


def test_a_lost_module_is_delivered_late_and_whole() -> None:
    """Unreachable for three hours: missing in those records, announced as lost, and then sent as one block of three."""
    one = bench()
    one.state.absent(2, HOUR + 1, HOUR + 4)
    for number in range(5):
        one.hour(number)
    _, peer = one.session(credit=64)
    decoded = [profile_decode.decode(message.block) for message in peer.of(ProfileMessage)]
    blocks = [block for block in decoded if isinstance(block, profiles.Profile)]
    late = next(block for block in blocks if block.counts.shape[1] == 3)
    events = [(event.code, event.raised, event.index) for batch in peer.of(Events) for event in batch.events]

    assert late.index.tolist() == [2]
    assert (late.first_hour, late.counts.tolist(), late.register.tolist()) == (HOUR + 1, [[5, 5, 5]], [105])
    assert [2 in block.index for block in blocks] == [True, False, False, False, True, True]
    assert events[-2:] == [(EventCode.MODULE_LOST, True, 2), (EventCode.MODULE_LOST, False, 2)]


def test_what_is_asked_for_is_answered_with_record_zero() -> None:
    """ARCH_READ of one module and two hours: blocks of that module only, which move no cursor."""
    one = bench()
    for number in range(4):
        one.hour(number)
    _, peer = one.session(cursor=4)
    corr = peer.send(ArchRead(HOUR + 1, 2, sets.bitmap([3])), request=True)
    *records, last = peer.answer(corr)
    blocks = [profile_decode.decode(message.block) for message in records]

    peer.send_body(messages.encode(ArchAck(99, 1), corr))

    assert one.acknowledged == [4]
    assert [message.record for message in records] == [0, 0]
    assert last == Result(int(Code.OK))
    assert [(block.first_hour, block.index.tolist()) for block in blocks if isinstance(block, profiles.Profile)] == [
        (HOUR + 1, [3]), (HOUR + 2, [3])
    ]
    assert peer.ask(ArchRead(HOUR - 9, 2, sets.bitmap([3]))) == Result(int(Code.UNKNOWN))


# ---------------------------------------------------------------------------------- registry, events, the rest
def test_a_module_that_joins_announces_itself_in_a_new_generation() -> None:
    """MODULE_JOINED carries the generation; old lists can still be asked for; its data comes from then on."""
    one = bench(m8={"joins_at": T0 + HOUR_S})
    _, peer = one.session()
    one.hour(0)
    joined = peer.of(ModuleJoined)[0]
    block = profile_decode.decode(peer.of(ProfileMessage)[0].block)

    assert (joined.generation, [entry.eui for entry in joined.modules]) == (2, [eui(8)])
    assert len(peer.ask(GetModules(1)).modules) == 7
    assert len(peer.ask(GetModules()).modules) == 8
    assert peer.ask(GetModules(9)) == Result(int(Code.UNKNOWN))
    assert isinstance(block, profiles.Profile)
    assert block.generation == 2


def test_events_come_until_they_are_acknowledged_and_then_no_more() -> None:
    """A new session without an acknowledgement gets them again; behind the cursor nothing is repeated."""
    one = bench()
    session, peer = one.session()
    first = peer.of(Events)[0].events[-1].sequence
    session.lost()
    session, again = one.session()
    assert [event.sequence for event in again.of(Events)[0].events] == [first]

    again.send(EventAck(first))
    one.state.event(EventCode.MAGNET, True, T0, 3)
    session.lost()
    _, third = one.session(event_cursor=first)

    assert [(event.code, event.index) for event in third.of(Events)[0].events] == [(EventCode.MAGNET, 3)]


def test_plain_requests_are_answered() -> None:
    """PING with both clocks, INFO, the tree, TIME_SET; a round trip of more than 5 s is not believed."""
    one = bench()
    _, peer = one.session()

    assert peer.ask(Ping(123)) == Pong(123, int(T0), True)
    assert isinstance(peer.ask(GetInfo()), Info)
    assert isinstance(peer.ask(GetTopology()), Topology)
    assert peer.ask(TimeSet(int(T0), ClockMode.SLEW, 80)) == Result(int(Code.OK))
    assert peer.ask(TimeSet(int(T0), ClockMode.SLEW, 5001)) == Result(int(Code.BAD_ARGUMENT))


def test_an_unknown_message_type_is_answered_with_an_error() -> None:
    """A later server may say more than we know."""
    one = bench()
    _, peer = one.session()
    peer.send_body(messages.wire.pack([0x7F, 9, {}]))

    assert isinstance(peer.answer(9)[0], Error)


def test_every_level_has_a_parent_one_level_above() -> None:
    """The tree is a tree, a few levels deep."""
    _, peer = bench(modules=60).session()
    level = {0: 0} | {node.index: node.level for page in peer.of(Topology) for node in page.nodes}
    parent = {node.index: node.parent for page in peer.of(Topology) for node in page.nodes}

    assert all(level[index] == level[parent[index]] + 1 for index in parent)
    assert 3 <= max(level.values()) <= 8


# ------------------------------------------------------------------------------------------------ commands
def test_a_shed_is_accepted_executed_and_restored_and_all_of_it_is_reported() -> None:
    """RESULT ACCEPTED, then reports that fill: who executed, who refused and why, who is back; one is final."""
    one = bench()
    _, peer = commanded(one, 1, 2, 3, 5)
    accepted = peer.ask(command(T0, off_for=300))
    one.run(T0 + 500)
    report = peer.of(CommandReport)[-1]

    assert accepted == Result(int(Code.ACCEPTED))
    assert sets.indices(report.received) == (1, 2, 3, 5)
    assert sets.indices(report.executed) == (1, 2)
    assert {(one.index, Code(one.code)) for one in report.refused} == {(3, Code.DENIED), (5, Code.INTERLOCK)}
    assert report.final
    one.run(T0 + 1200)
    assert sets.indices(peer.of(CommandReport)[-1].restored) == (1, 2)
    assert sum(peer.of(CommandReport)[-1].latency) == 2
    switched = [(eui, supplied) for eui, supplied, _ in one.switched]
    assert sorted(switched) == sorted([(eui(1), False), (eui(2), False), (eui(1), True), (eui(2), True)])


def test_every_load_is_back_after_off_for_from_its_own_first_execution() -> None:
    """Three broadcasts reach a module; only the first one counts."""
    one = bench(modules=40)
    _, peer = commanded(one, *range(6, 41))
    peer.ask(command(T0, off_for=300, repeat=3))
    one.run(T0 + 2000)
    off = {eui: at for eui, supplied, at in one.switched if not supplied}
    on = {eui: at for eui, supplied, at in one.switched if supplied}

    assert len(off) >= 33
    assert all(on[eui] - off[eui] == pytest.approx(300) for eui in off)
    assert T0 + 15 < np.mean(list(off.values())) < T0 + 60


def test_an_unreachable_module_does_not_answer_and_the_final_report_says_so() -> None:
    """A module that is lost is in no set; the report becomes final when no answer can come any more."""
    one = bench()
    one.state.absent(2, HOUR, HOUR + 2)
    _, peer = commanded(one, 1, 2)
    peer.ask(command(T0, off_for=300))
    one.run(T0 + 470)
    assert not peer.of(CommandReport)[-1].final

    one.run(T0 + 481)
    report = next(report for report in peer.of(CommandReport) if report.final)
    assert sets.indices(report.received) == (1,)


def test_a_small_share_is_never_reached_whatever_is_repeated() -> None:
    """Some modules do not hear a command at all; the final report leaves them out of every set."""
    one = bench(modules=240, out_of_reach=0.1)
    _, peer = commanded(one, *range(6, 241))
    peer.ask(command(T0, repeat=5))
    one.run(T0 + 481)
    heard = len(sets.indices(peer.of(CommandReport)[-1].received))

    assert peer.of(CommandReport)[-1].final
    assert 0.8 * 235 < heard < 0.99 * 235


def test_a_retry_reaches_whom_the_broadcast_did_not_and_nobody_else() -> None:
    """The same frame, so nobody's time off grows; a stranger to the command and an unknown command hear nothing."""
    one = bench(modules=240, out_of_reach=0.1)
    _, peer = commanded(one, *range(6, 200))
    order = command(T0, off_for=300, repeat=1)
    peer.ask(order)
    one.run(T0 + 150)
    heard = set(sets.indices(peer.of(CommandReport)[-1].received))
    switched = {index for eui_, supplied, _ in one.switched if not supplied for index in (eui_ - eui(0),)}
    silent = set(range(6, 200)) - heard
    asked = peer.ask(messages.CommandRetry(order.command_id, sets.bitmap([*range(6, 200), 230])))
    unknown = peer.ask(messages.CommandRetry(b"?" * 16, sets.bitmap([6])))
    one.run(T0 + 290)
    after = set(sets.indices(peer.of(CommandReport)[-1].executed))

    assert (asked, unknown) == (Result(int(Code.ACCEPTED)), Result(int(Code.UNKNOWN)))
    assert len(silent) > 5
    assert len(silent & after) > 0.25 * len(silent)        # one more saying: the radio loses as much of it as before
    offs = [eui_ - eui(0) for eui_, supplied, _ in one.switched if not supplied]
    assert len(offs) == len(set(offs))
    assert switched <= set(offs) <= set(range(6, 200))
    one.run(T0 + 301)
    late = peer.ask(messages.CommandRetry(order.command_id, sets.bitmap([6])))
    assert late == Result(int(Code.EXPIRED))


def test_the_same_command_twice_is_executed_once() -> None:
    """A second GROUP_COMMAND with a known id is a duplicate, and no load is switched again."""
    one = bench()
    _, peer = commanded(one, 1, 2)
    order = command(T0, off_for=300)
    peer.ask(order)
    one.run(T0 + 300)
    switched = len(one.switched)

    assert peer.ask(order) == Result(int(Code.DUPLICATE))
    one.run(T0 + 310)
    assert len([1 for _, supplied, _ in one.switched if not supplied]) == 2
    assert switched >= 2


def test_a_repeated_request_gets_the_same_answer_and_is_not_executed_twice() -> None:
    """The same corr again (a serial sender that heard nothing): ACCEPTED again, one command."""
    one = bench()
    _, peer = commanded(one, 1)
    body = messages.encode(command(T0, off_for=300), 99)
    peer.send_body(body)
    peer.send_body(body)

    assert peer.answer(99) == [Result(int(Code.ACCEPTED))] * 2


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (command(T0, group=2), Code.UNKNOWN),
        (command(T0, epoch=2), Code.INTERLOCK),
        (command(T0, not_after=T0 - 1), Code.EXPIRED),
    ],
    ids=["unknown group", "another epoch", "too late"],
)
def test_the_concentrator_refuses_what_it_need_not_broadcast(order: messages.GroupCommand, code: Code) -> None:
    """Nothing leaves for the radio when the concentrator itself knows better."""
    one = bench()
    _, peer = commanded(one, 1, 2)

    assert peer.ask(order) == Result(int(code))
    one.run(T0 + 600)
    assert not one.switched


def test_a_group_whose_members_are_not_who_the_server_thinks_is_interlocked() -> None:
    """An index was given to another module: the hash does not match, and the command finds no group."""
    one = bench()
    _, peer = one.session()
    peer.ask(key_put(KEY, 1, 1))

    assert peer.ask(group_set(1, 1, {1: eui(1), 2: eui(9)})) == Result(int(Code.INTERLOCK))
    assert peer.ask(command(T0)) == Result(int(Code.UNKNOWN))


def test_without_the_groups_key_every_module_refuses() -> None:
    """A server that never put the key cannot move a load."""
    one = bench()
    _, peer = one.session()
    peer.ask(group_set(1, 1, {1: eui(1), 2: eui(2)}))
    peer.ask(command(T0))
    one.run(T0 + 900)

    assert not one.switched
    assert {refusal.code for refusal in peer.of(CommandReport)[-1].refused} == {int(Code.CRYPTO)}


def test_a_wrapped_key_of_another_link_is_refused() -> None:
    """KEY_PUT under the wrong KEK; and the right one is confirmed under the new key."""
    one = bench()
    _, peer = one.session()

    assert peer.ask(key_put(bytes(16), 1, 1)) == Result(int(Code.CRYPTO))
    assert isinstance(peer.ask(key_put(KEY, 1, 1)), KeyConfirm)


def test_a_restore_ends_the_shed_early() -> None:
    """RESTORE of the group releases every load, and the shed's own report says who is back."""
    one = bench()
    _, peer = commanded(one, 1, 2, 6)
    peer.ask(command(T0, off_for=900))
    one.run(T0 + 250)
    peer.ask(command(one.now, number=2, action=Action.RESTORE, off_for=0))
    one.run(T0 + 700)
    shed = [report for report in peer.of(CommandReport) if report.command_id[-1] == 1][-1]

    assert sets.indices(shed.restored) == (1, 2, 6)
    assert all(one.state.control._actuators[index].supplied for index in (1, 2, 6))


def test_after_a_restart_of_the_server_the_command_can_be_asked_about() -> None:
    """The session dies while answers come in: the next one is told unasked, and an inquiry gets the whole report."""
    one = bench()
    session, peer = commanded(one, 1, 2)
    peer.ask(command(T0, off_for=300))
    session.lost()
    one.run(T0 + 250)
    _, again = one.session()
    told = again.of(CommandReport)
    corr = again.send(CommandStatus(command(T0).command_id), request=True)

    assert [sets.indices(report.executed) for report in told] == [(1, 2)]
    assert again.answer(corr) == [Result(int(Code.OK))]
    assert again.of(CommandReport)[-1] == told[-1]
    assert again.ask(CommandStatus(bytes(16))) == Result(int(Code.UNKNOWN))


def test_a_final_report_is_owed_until_it_was_answered() -> None:
    """It comes again in every session, as a request, until the server has said RESULT OK to it."""
    one = bench()
    session, peer = commanded(one, 3)
    peer.ask(command(T0, off_for=300))
    one.run(T0 + 500)
    session.lost()
    session, again = one.session()
    asked = [packet for packet in again.got if isinstance(packet.message, CommandReport)]
    assert [bool(packet.corr) for packet in asked] == [True]

    again.send_body(messages.encode(Result(int(Code.OK)), asked[0].corr))
    session.lost()
    _, third = one.session()

    assert third.of(CommandReport) == []


def test_no_broadcast_is_repeated_after_not_after() -> None:
    """A short life: the second repeat would come too late and never leaves."""
    one = bench(modules=60)
    _, peer = commanded(one, *range(6, 61))
    peer.ask(command(T0, off_for=300, not_after=T0 + 30, repeat=15))
    queued = len(one.state.control._queue)

    assert queued <= 55 + 1


def test_too_many_commands_at_once_are_busy() -> None:
    """The concentrator's memory is bounded, whatever a server sends."""
    one = bench()
    _, peer = commanded(one, 1)
    codes = [peer.ask(command(T0, number=number)).code for number in range(1, 40)]

    assert codes == [int(Code.ACCEPTED)] * 32 + [int(Code.BUSY)] * 7


def test_an_archive_that_overflows_says_so_and_starts_with_its_oldest() -> None:
    """Five records fit, eight come before anybody holds them: an event, and the stream begins with the oldest left."""
    one = bench(archive_depth=5)
    for number in range(8):
        one.hour(number)
    _, peer = one.session(credit=10)

    assert [message.record for message in peer.of(ProfileMessage)] == [4, 5, 6, 7, 8]
    assert peer.hello is not None
    assert peer.hello.oldest == 4
    codes = [event.code for batch in peer.of(Events) for event in batch.events]
    assert codes.count(EventCode.ARCHIVE_FULL) == 1


def test_the_latency_of_a_subnet_is_that_of_the_radio_design() -> None:
    """Mean 30-60 s from command to load off, the slow twentieth about twice that, a small share never reached."""
    one = bench(modules=240)
    seconds: list[float] = []
    missed = 0
    for _ in range(12):
        latency = one.state.mesh.draw_latency(one.state._rng)
        missed += int(np.isnan(latency).sum())
        seconds += latency[~np.isnan(latency)].tolist()

    assert 30 < np.mean(seconds) < 60
    assert 1.5 * np.mean(seconds) < np.percentile(seconds, 95) < 3 * np.mean(seconds)
    assert missed < 0.05 * 12 * 240


@pytest.mark.parametrize("message", SAMPLES, ids=lambda one: one.TYPE.name)
def test_no_message_breaks_a_concentrator_and_what_it_does_not_do_is_answered(message: Message) -> None:
    """Every type, whoever it is for: only CLOSE ends the session, and a request of a server's is always answered."""
    session, peer = bench().session()
    corr = peer.send(message, request=True)
    answers = peer.answer(corr)

    assert session.phase is (Phase.DOWN if isinstance(message, Close) else Phase.UP)
    is_request = message.TYPE not in ANSWERS | FROM_CONCENTRATOR | EITHER | ONE_WAY
    assert answers or not is_request
    assert all(one.code == Code.UNKNOWN for one in answers if isinstance(one, Error))


def test_a_wake_does_not_disturb_a_handshake_on_a_connection_of_its_own() -> None:
    """It is for serial lines; on TCP HELLO has been said already."""
    one = bench()
    written: list[bytes] = []
    session = ConcentratorSession(one.state, bytes(16), written.append, one.closed.append, lambda: T0)
    session.start()
    session.receive(encode_frame(Frame(LINK, messages.encode(messages.Wake(LINK)))))

    assert session.phase is Phase.GREETING
    assert len(written) == 1
