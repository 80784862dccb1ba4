"""Group commands: what leaves, in which order, and what is never sent."""

from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred

from scada.commands import Action, GroupOrder, LoadClass, MemberReport, MemberState, RetryOrder
from scada.drivers.dmesh import crypto, messages, sets
from scada.drivers.dmesh.messages import (
    CommandReport,
    CommandRetry,
    GroupCommand,
    GroupSet,
    KeyConfirm,
    KeyPut,
    KeyRevoke,
    Message,
    Refusal,
    Result,
)
from scada.drivers.dmesh.numbers import Code, KeyTarget
from scada.errors import CommandRejected, LinkError
from tests.drivers.dmesh.peers import LINK_ID, Bench, Wire, bench, entries, run_now
from tests.fakes import NOON

COMMAND = b"c" * 16
MEMBERS = tuple((entry.index, entry.eui) for entry in entries(3))
ORDER = GroupOrder(COMMAND, LINK_ID, 5, 2, Action.SHED, LoadClass.YELLOW, 600, NOON + 300, 60, 3, MEMBERS)


def outcome(deferred: "Deferred[Any]") -> list[Any]:
    """[result or exception], [] while it waits."""
    found: list[Any] = []
    deferred.addBoth(lambda result: found.append(getattr(result, "value", result)))
    return found


def sent(wire: Wire) -> list[type[Message]]:
    return [type(message) for message in wire.peer.messages if isinstance(message, GroupSet | KeyPut | GroupCommand)]


def go(site: Bench, wire: Wire, order: GroupOrder = ORDER) -> list[Any]:
    result = outcome(site.service.send(order))
    wire.serve()
    return result


def test_an_order_leaves_as_set_key_and_command_and_fires_when_it_was_accepted(tmp_path: Path) -> None:
    """The first in an epoch; the second order goes straight to the command."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    first = go(site, wire)
    second = go(site, wire, attrs.evolve(ORDER, command_id=b"d" * 16))

    assert first == second == [None]
    assert sent(wire) == [GroupSet, KeyPut, GroupCommand, GroupCommand]


def test_a_changed_epoch_is_set_and_keyed_anew(tmp_path: Path) -> None:
    """Members and key belong to an epoch."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    go(site, wire)
    go(site, wire, attrs.evolve(ORDER, epoch=3, command_id=b"d" * 16))

    assert sent(wire) == [GroupSet, KeyPut, GroupCommand] * 2


def test_a_group_key_that_is_not_the_concentrators_any_more_is_taken_back_and_put_anew(tmp_path: Path) -> None:
    """It was revoked here, or lost with a key store: under the same epoch the concentrator holds another."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    go(site, wire)
    site.keys.revoke_group(5, 2)
    revoked: list[KeyRevoke] = []

    def put(message: KeyPut) -> Message:
        key = crypto.unwrap(wire.peer.key, message.wrapped)
        assert isinstance(key, bytes)
        return KeyConfirm(message.target, 5, 2, crypto.key_check(key)) if revoked else Result(Code.DENIED)

    wire.replies[KeyPut] = put
    wire.replies[KeyRevoke] = lambda message: (revoked.append(message), Result(Code.OK))[1]
    second = go(site, wire, attrs.evolve(ORDER, command_id=b"d" * 16))

    assert second == [None]
    assert [(one.target, one.number, one.key_id) for one in revoked] == [(KeyTarget.GROUP, 5, 2)]
    command = wire.said(GroupCommand)[-1]
    assert messages.signed(command, site.keys.group_key(5, 2)).mac == command.mac


def test_what_leaves_is_what_was_ordered_and_signed(tmp_path: Path) -> None:
    """Every field, the members' digest, and a MAC that a module can verify."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    go(site, wire)
    (command,), (group,) = wire.said(GroupCommand), wire.said(GroupSet)

    assert (command.group, command.epoch, command.action, command.load_class) == (5, 2, Action.SHED, LoadClass.YELLOW)
    assert (command.off_for_s, command.not_after, command.restore_jitter_s, command.repeat) == (600, NOON + 300, 60, 3)
    assert messages.signed(command, site.keys.group_key(5, 2)).mac == command.mac
    assert sets.indices(group.members) == (1, 2, 3)
    assert group.digest == sets.members_digest(MEMBERS)


def test_counters_grow_from_command_to_command(tmp_path: Path) -> None:
    """A module refuses one that does not."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    for number in range(3):
        go(site, wire, attrs.evolve(ORDER, command_id=bytes([number]) * 16))
    counters = [command.ctr for command in wire.said(GroupCommand)]

    assert counters == sorted(set(counters))
    assert counters[0] >= NOON << 16


def test_a_late_order_is_refused_and_never_sent(tmp_path: Path) -> None:
    """At not_after it is too late."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    (refused,) = go(site, wire, attrs.evolve(ORDER, not_after=NOON))

    assert isinstance(refused, CommandRejected)
    assert sent(wire) == []


def test_an_order_that_grew_late_while_it_was_prepared_is_never_sent(tmp_path: Path) -> None:
    """The concentrator took its time with GROUP_SET; the command itself does not leave any more."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    order = attrs.evolve(ORDER, not_after=NOON + 5)
    wire.replies[GroupSet] = lambda message: site.reactor.advance(6) or Result(Code.OK)
    (refused,) = go(site, wire, order)

    assert isinstance(refused, CommandRejected)
    assert GroupCommand not in sent(wire)


def test_nothing_is_sent_while_the_servers_time_is_not_trusted(tmp_path: Path) -> None:
    """not_after would mean nothing."""
    site = bench(tmp_path, trusted=False)
    wire = Wire(site.service).shake()
    (refused,) = go(site, wire)

    assert isinstance(refused, CommandRejected)
    assert sent(wire) == []


def test_an_order_for_a_link_that_is_down_fails_at_once(tmp_path: Path) -> None:
    """LinkError: the desk knows that nothing was sent."""
    site = bench(tmp_path)

    assert isinstance(outcome(site.service.send(ORDER))[0], LinkError)
    assert isinstance(outcome(site.service.inquire(COMMAND, LINK_ID))[0], LinkError)


@pytest.mark.parametrize("kind", [GroupSet, KeyPut, GroupCommand])
def test_a_refusal_by_the_concentrator_is_told_and_ends_the_order(tmp_path: Path, kind: type[Message]) -> None:
    """INTERLOCK of any step: CommandRejected, and nothing more leaves."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    wire.replies[kind] = lambda message: Result(Code.INTERLOCK)
    (refused,) = go(site, wire)

    assert isinstance(refused, CommandRejected)
    assert "INTERLOCK" in str(refused)
    assert sent(wire)[-1] is kind


def test_a_confirmation_of_another_key_is_no_confirmation(tmp_path: Path) -> None:
    """A concentrator that holds another key could not make its modules obey, or is not what it seems."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    wire.replies[KeyPut] = lambda put: messages.KeyConfirm(put.target, put.number, put.key_id, bytes(8))
    (refused,) = go(site, wire)

    assert isinstance(refused, CommandRejected)
    assert GroupCommand not in sent(wire)


def test_an_order_without_an_answer_fails_and_is_not_repeated(tmp_path: Path) -> None:
    """After 10 s: LinkError, a PING that must be answered, to see whether the peer lives, and no second GROUP_COMMAND."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    asked: list[Message] = []
    wire.replies[GroupCommand] = lambda message: None
    wire.replies[messages.Ping] = asked.append
    waiting = go(site, wire)
    before = list(waiting)
    site.reactor.advance(10)
    wire.serve()

    assert before == []
    assert isinstance(waiting[0], LinkError)
    assert len(wire.said(GroupCommand)) == 1
    assert len(asked) == 1


def test_a_link_that_breaks_under_an_order_fails_it_at_once(tmp_path: Path) -> None:
    """Of unknown fate: the desk must inquire."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    wire.replies[GroupCommand] = lambda message: None
    waiting = go(site, wire)
    wire.connection.connectionLost()

    assert isinstance(waiting[0], LinkError)


def test_an_order_that_cannot_be_signed_is_refused_in_a_plain_sentence(tmp_path: Path) -> None:
    """The key store's disk is full or the file is spoilt: CommandRejected, and nothing leaves."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    (tmp_path / "keys.store").write_bytes(b"spoilt")
    (refused,) = go(site, wire)

    assert isinstance(refused, CommandRejected)
    assert "key store" in str(refused)
    assert GroupCommand not in sent(wire)


def test_orders_leave_one_after_the_other(tmp_path: Path) -> None:
    """The second waits until the first was answered."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    wire.replies[GroupCommand] = lambda message: None
    go(site, wire)
    go(site, wire, attrs.evolve(ORDER, command_id=b"d" * 16))
    one = len(wire.said(GroupCommand))
    del wire.replies[GroupCommand]
    site.reactor.advance(10)
    wire.serve()

    assert one == 1
    assert [command.command_id for command in wire.said(GroupCommand)] == [COMMAND, b"d" * 16]


def reports(site: Bench) -> list[tuple[int, MemberState, str]]:
    told: list[tuple[int, MemberState, str]] = []

    def hear(news: Any) -> None:
        told.extend((one.eui & 0xFF, one.state, one.reason) for one in news)
        assert all(isinstance(one, MemberReport) and one.command_id == COMMAND for one in news)

    site.service.on_report(hear)
    return told


def test_reports_become_the_news_of_each_member(tmp_path: Path) -> None:
    """Cumulative bitmaps in, one step per member out; who stays silent has no answer in the end."""
    site = bench(tmp_path)
    told = reports(site)
    wire = Wire(site.service).shake()
    go(site, wire)
    heard = CommandReport(COMMAND, received=sets.bitmap([1, 2]))
    done = attrs.evolve(heard, executed=sets.bitmap([1]), refused=(Refusal(2, Code.DENIED),))
    wire.say(heard)
    wire.say(done)
    wire.say(attrs.evolve(done, final=True), 7)
    wire.say(attrs.evolve(done, final=True, restored=sets.bitmap([1])))

    assert told == [
        (1, MemberState.RECEIVED, ""), (2, MemberState.RECEIVED, ""),
        (1, MemberState.EXECUTED, ""), (2, MemberState.REFUSED, "DENIED"),
        (3, MemberState.NO_ANSWER, ""),
        (1, MemberState.RESTORED, ""),
    ]
    assert messages.Packet(Result(Code.OK), 7) in wire.peer.heard


def test_a_module_that_was_not_addressed_is_not_reported(tmp_path: Path) -> None:
    """A bit of somebody else in the bitmap changes nothing."""
    site = bench(tmp_path)
    told = reports(site)
    wire = Wire(site.service).shake()
    go(site, wire)
    wire.say(CommandReport(COMMAND, executed=sets.bitmap([9])))

    assert told == []


def test_after_a_restart_the_concentrator_is_asked_and_its_report_is_understood(tmp_path: Path) -> None:
    """The new server never saw the order: indices are those of the current list."""
    site = bench(tmp_path)
    told = reports(site)
    wire = Wire(site.service).shake()
    known_ids = {COMMAND: Code.OK}
    wire.replies[messages.CommandStatus] = lambda message: Result(known_ids.get(message.command_id, Code.UNKNOWN))
    known = outcome(site.service.inquire(COMMAND, LINK_ID))
    wire.serve()
    never = outcome(site.service.inquire(b"n" * 16, LINK_ID))
    wire.serve()
    wire.say(CommandReport(COMMAND, executed=sets.bitmap([2])))

    assert (known, never) == ([True], [False])
    assert told == [(2, MemberState.EXECUTED, "")]
    assert sent(wire) == []


def test_what_members_did_is_remembered_across_sessions(tmp_path: Path) -> None:
    """The report that was on its way when the link broke comes in the next session; nothing is told twice."""
    site = bench(tmp_path)
    told = reports(site)
    first = Wire(site.service).shake()
    go(site, first)
    first.say(CommandReport(COMMAND, executed=sets.bitmap([1])))
    first.connection.connectionLost()
    second = Wire(site.service).shake()
    second.say(CommandReport(COMMAND, executed=sets.bitmap([1, 2])), 3)

    assert told == [(1, MemberState.EXECUTED, ""), (2, MemberState.EXECUTED, "")]


def test_the_key_store_works_off_the_loop(tmp_path: Path) -> None:
    """What writes and fsyncs goes through `run_blocking`."""
    site = bench(tmp_path)
    used: list[str] = []

    def watched(function: Any, *args: Any) -> "Deferred[Any]":
        used.append(function.__name__)
        return run_now(function, *args)

    object.__setattr__(site.service._around, "run_blocking", watched)
    wire = Wire(site.service).shake()
    go(site, wire)

    assert set(used) == {"group_key", "next_counter"}


@pytest.mark.parametrize("indices", [(), (1,), (240,), (1, 8, 9, 17, 240)])
def test_bitmaps_hold_exactly_their_members(indices: tuple[int, ...]) -> None:
    """Bit i-1, least significant first, in 30 bytes."""
    members = sets.bitmap(indices)

    assert len(members) == 30
    assert sets.indices(members) == indices
    assert [index for index in range(1, 241) if members[(index - 1) // 8] >> (index - 1) % 8 & 1] == list(indices)


def retried(site: Bench, wire: Wire, not_after: int = NOON + 300) -> list[Any]:
    result = outcome(site.service.retry(RetryOrder(COMMAND, LINK_ID, not_after, MEMBERS[1:])))
    wire.serve()
    return result


@pytest.mark.parametrize(("code", "answer"), [(Code.ACCEPTED, True), (Code.UNKNOWN, False)])
def test_a_retry_names_the_silent_members_and_says_whether_the_command_is_known(
    tmp_path: Path, code: Code, answer: bool
) -> None:
    """The concentrator repeats what it holds: nothing is signed anew, so nothing can be executed twice."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    wire.replies[CommandRetry] = lambda message: Result(code)

    assert retried(site, wire) == [answer]
    assert wire.said(CommandRetry) == [CommandRetry(COMMAND, sets.bitmap([2, 3]))]
    assert sent(wire) == []


@pytest.mark.parametrize("reply", [Result(Code.EXPIRED), messages.Error(Code.UNKNOWN, "no such type", 0x46)])
def test_a_retry_that_is_refused_or_not_understood_is_rejected(tmp_path: Path, reply: Message) -> None:
    """An older concentrator answers ERROR."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    wire.replies[CommandRetry] = lambda message: reply

    assert isinstance(retried(site, wire)[0], CommandRejected)


def test_no_retry_leaves_after_not_after_or_over_a_dead_link(tmp_path: Path) -> None:
    """The driver checks once more."""
    site = bench(tmp_path)
    wire = Wire(site.service).shake()
    (late,) = retried(site, wire, NOON)
    wire.connection.connectionLost()
    (down,) = retried(site, wire)

    assert isinstance(late, CommandRejected)
    assert isinstance(down, LinkError)
    assert wire.said(CommandRetry) == []
