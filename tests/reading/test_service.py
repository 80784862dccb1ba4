"""Reads from the request to the last register: kept on disk, in their turn, with reasons, and over every break."""

from pathlib import Path

import attrs
import pytest

from scada.clock import NS
from scada.commands import Actor, Role
from scada.errors import CommandRejected
from scada.reading import queue
from scada.reading.book import MOST_OPEN
from scada.reads import OVER, ReadAnswer, ReadOrder, ReadPriority, ReadRequest, ReadState
from scada.tags import Quality
from tests.fakes import NOON
from tests.reading.fakes import ANNA, LINKS, VIEWER, Bench, done, eui, part

ONE = ReadRequest(points=("P-C01-001",))
C01, C02 = LINKS["C01"], LINKS["C02"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_point_is_read_and_its_register_is_a_tag(bench: Bench) -> None:
    """NEW, QUEUED and SENT in a moment; the answer is PARTIAL, the last part DONE; kWh with time and quality."""
    task = done(bench.service.request(ANNA, ONE))
    (order,) = bench.reader.orders
    read_at = (NOON + 90) * NS
    bench.advance(100)
    kept = bench.reader.report(part(order, 0, [eui(C01, 1)], at=read_at))
    partial = bench.service.task(task.id)
    bench.reader.report(part(order, 1, [], final=True))
    end = bench.service.task(task.id)
    value, quality, at = bench.bus.snapshot().get("C01-001.ch0-now/register_now")

    assert order.members == ((1, eui(C01, 1)),)
    assert order.deadline == NOON + 900
    assert kept == [True]
    assert (task.state, partial.state, end.state) == (ReadState.SENT, ReadState.PARTIAL, ReadState.DONE)
    assert (value, quality, at) == (1234.567, Quality.GOOD, read_at)
    assert end.shares[0].members[0].readings[0].at == read_at
    assert bench.audit.rows[0][0] == "read.request"


def test_nothing_is_sent_that_is_not_on_disk_as_sent(bench: Bench) -> None:
    """At the moment of the order the journal already says SENT: a crash after it is never taken for a task not begun."""
    found: list[str] = []
    bench.reader.before_order = lambda order: found.append(
        bench.service._book._journal.find(bench.service._book.owner(order.read_id)).shares[0].state
    )
    done(bench.service.request(ANNA, ONE))

    assert found == [ReadState.SENT]


def test_the_same_key_is_the_same_task_over_a_restart_too(bench: Bench) -> None:
    """A program that does not know whether its request arrived asks again."""
    keyed = attrs.evolve(ONE, key="billing-7")
    first = done(bench.service.request(ANNA, keyed))
    again = done(bench.service.request(ANNA, keyed))
    bench.kill()
    bench.fresh()
    after = done(bench.service.request(ANNA, keyed))
    other = done(bench.service.request(attrs.evolve(ANNA, name="boris"), keyed))

    assert first.id == again.id == after.id
    assert other.id != first.id
    with pytest.raises(CommandRejected, match="the key billing-7 was used for another read: P-C01-001"):
        done(bench.service.request(ANNA, attrs.evolve(keyed, points=("P-C01-002",))))


def test_after_a_kill_the_field_is_asked_again_under_the_same_number(bench: Bench) -> None:
    """No new read id leaves for what may be under way, and what had come before the kill is still there."""
    task = done(bench.service.request(ANNA, ReadRequest(groups=("BG-north",))))
    orders = {order.link_id: order for order in bench.reader.orders}
    bench.reader.report(part(orders[C01], 0, [eui(C01, 2)]))
    bench.kill()
    bench.reader.up.clear()
    bench.fresh()
    restarted = bench.service.task(task.id)
    bench.reader.link(C01, up=True)
    bench.reader.link(C02, up=True)
    asked = bench.reader.orders[2:]
    bench.reader.report(part(orders[C01], 0, [eui(C01, 2)]))
    bench.reader.report(part(orders[C01], 1, [eui(C01, 1), eui(C01, 3)], final=True))
    bench.reader.report(part(orders[C02], 0, [eui(C02, 1)], final=True))
    end = bench.service.task(task.id)

    assert restarted.state is ReadState.PARTIAL
    assert {order.read_id for order in asked} == {order.read_id for order in orders.values()}
    assert len(asked) == 2
    assert end.state is ReadState.DONE
    assert (end.answered, end.total) == (4, 6)
    assert [share.attempts for share in end.shares] == [2, 2]


def test_a_queued_read_waits_for_its_concentrator_and_says_so(bench: Bench) -> None:
    """The reason and no invented time while the link is down; sent the moment it is up."""
    bench.reader.link(C01, up=False)
    task = done(bench.service.request(ANNA, ONE))
    waiting = bench.service.task(task.id)
    bench.reader.link(C01, up=True)

    assert bench.reader.orders[0].link_id == C01
    assert (waiting.state, waiting.expected) == (ReadState.QUEUED, 0)
    assert waiting.shares[0].reason == "C01 is not connected"


def test_the_queue_is_in_order_of_priority_with_a_time_from_the_travel_times(bench: Bench) -> None:
    """Two at once; an urgent one overtakes; the place in the queue and the time when it is likely to be over."""
    bench.reader.seconds = {eui(C01, index): 30.0 for index in (1, 2, 3)}
    for _ in range(3):
        done(bench.service.request(ANNA, ONE))
        bench.advance(1)
    urgent = done(bench.service.request(ANNA, attrs.evolve(ONE, priority=ReadPriority.URGENT, points=("P-C01-002",))))
    normal = bench.service.tasks()[1]
    under_way = [order.read_id for order in bench.reader.orders]
    one_trip = round(queue.duration_s(urgent.shares[0], bench.reader.seconds) * NS)
    bench.reader.report(part(bench.reader.orders[0], 0, [eui(C01, 1)], final=True))

    assert len(under_way) == 2
    assert one_trip == 120 * NS
    assert urgent.shares[0].reason == "waits for its turn: 2 reads ahead at C01"
    assert normal.shares[0].reason == "waits for its turn: 3 reads ahead at C01"
    assert abs(urgent.expected - (NOON * NS + 2 * one_trip)) <= 2 * NS
    assert bench.reader.orders[2].read_id == urgent.shares[0].read_id


def test_a_busy_concentrator_is_left_alone_for_as_long_as_it_says(bench: Bench) -> None:
    """Back into the queue, and asked again under the same number when the time is over."""
    bench.reader.say = ReadAnswer("BUSY", 30)
    task = done(bench.service.request(ANNA, ONE))
    reason = bench.service.task(task.id).shares[0].reason
    bench.advance(25)
    early = len(bench.reader.orders)
    bench.reader.say = ReadAnswer("ACCEPTED")
    bench.advance(10)

    assert reason == "C01 is busy with other reads"
    assert early == 1
    assert [order.read_id for order in bench.reader.orders] == [task.shares[0].read_id] * 2
    assert bench.service.task(task.id).state is ReadState.SENT


def test_an_order_that_nobody_answered_is_asked_about_later_under_its_number(bench: Bench) -> None:
    """A lost answer is not a lost read, and not a second one."""
    bench.reader.say = None
    task = done(bench.service.request(ANNA, ONE))
    state = bench.service.task(task.id).state
    bench.reader.say = ReadAnswer("DUPLICATE")
    bench.advance(70)
    orders = [order.read_id for order in bench.reader.orders]
    bench.advance(200)

    assert state is ReadState.SENT
    assert orders == [task.shares[0].read_id] * 2
    assert len(bench.reader.orders) == 2


@pytest.mark.parametrize("code", ["NOT_SUPPORTED", "DENIED", "UNKNOWN"])
def test_a_refusal_ends_it_with_its_reason(bench: Bench, code: str) -> None:
    bench.reader.say = ReadAnswer(code)
    task = bench.service.task(done(bench.service.request(ANNA, ONE)).id)

    assert task.state is ReadState.FAILED
    assert ("cannot read on demand" if code == "NOT_SUPPORTED" else code) in task.shares[0].reason


def test_the_deadline_ends_what_waits_at_once_and_what_was_sent_after_its_last_answer_could_come(bench: Bench) -> None:
    """Expired with what had come; who had not answered is named with TIMEOUT."""
    bench.reader.link(C02, up=False)
    task = done(bench.service.request(ANNA, ReadRequest(groups=("BG-north",), within_s=60)))
    bench.reader.report(part(bench.reader.orders[0], 0, [eui(C01, 1)]))
    bench.advance(62)
    at_deadline = {share.concentrator: share.state for share in bench.service.task(task.id).shares}
    bench.advance(120)
    end = bench.service.task(task.id)

    assert at_deadline == {"C01": ReadState.PARTIAL, "C02": ReadState.EXPIRED}
    assert end.state is ReadState.EXPIRED
    assert end.answered == 1
    assert [member.reason for member in end.shares[0].members] == ["", "TIMEOUT", "TIMEOUT"]
    assert end.shares[1].reason == "the deadline passed before it could be sent"


def test_a_cancelled_read_is_over_and_late_answers_are_acknowledged_and_dropped(bench: Bench) -> None:
    task = done(bench.service.request(ANNA, ONE))
    end = done(bench.service.cancel(ANNA, task.id))
    kept = bench.reader.report(part(bench.reader.orders[0], 0, [eui(C01, 1)], final=True))

    assert end.state is ReadState.CANCELLED
    assert end.shares[0].reason == "cancelled by anna"
    assert kept == [True]
    assert bench.service.task(task.id).answered == 0
    assert [row[0] for row in bench.audit.rows] == ["read.request", "read.cancel"]
    with pytest.raises(CommandRejected, match="over already"):
        done(bench.service.cancel(ANNA, task.id))


def test_another_concentrators_results_and_strangers_modules_are_not_believed(bench: Bench) -> None:
    """A concentrator speaks for the modules it was asked about, and for no others."""
    task = done(bench.service.request(ANNA, ONE))
    (order,) = bench.reader.orders
    foreign = attrs.evolve(part(order, 0, [eui(C01, 1)], final=True), link_id=C02)
    bench.reader.report(foreign)
    untouched = bench.service.task(task.id)
    bench.reader.report(part(order, 0, [eui(C01, 2)], final=True))

    assert untouched.answered == 0
    assert bench.service.task(task.id).state is ReadState.FAILED
    assert not any("C01-002" in tag for tag in bench.bus.snapshot().ids)


@pytest.mark.parametrize(
    ("actor", "wish", "reason"),
    [
        (VIEWER, ONE, "victor is viewer; only dispatchers, engineers, installers and administrators may read"),
        (ANNA, ReadRequest(points=("P-C03-001",)), "anna may not read in area south"),
        (ANNA, ReadRequest(), "nothing to read was named: expected points, modules or groups"),
        (ANNA, ReadRequest(points=("nowhere",), modules=("C09-001",)), "not in the registry: C09-001, nowhere"),
        (ANNA, attrs.evolve(ONE, within_s=5), "5 s to answer: expected 60 to 86400"),
        (ANNA, attrs.evolve(ONE, key="x" * 65), "the key of a read has at most 64 printable characters"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(bench: Bench, actor: Actor, wish: ReadRequest, reason: str) -> None:
    with pytest.raises(CommandRejected) as refused:
        done(bench.service.request(actor, wish))

    assert reason in refused.value.reasons
    assert bench.reader.orders == []


def test_every_reason_is_told_at_once(bench: Bench) -> None:
    with pytest.raises(CommandRejected) as refused:
        done(bench.service.request(VIEWER, ReadRequest(points=("nowhere",), within_s=1)))

    assert len(refused.value.reasons) == 3


def test_the_queue_is_bounded_and_says_what_it_refused(bench: Bench) -> None:
    """A script that asks for ever gets a reason instead of the server's memory."""
    bench.reader.up.clear()
    for _ in range(MOST_OPEN):
        done(bench.service.request(ANNA, ONE))
    with pytest.raises(CommandRejected, match="500 reads are open: no more are taken until one of them is over"):
        done(bench.service.request(ANNA, ONE))
    (health,) = bench.service.health()

    assert health.figures["open"] == MOST_OPEN
    assert health.figures["refused"] == 1


def test_a_disk_that_fails_acknowledges_nothing_and_is_tried_again(bench: Bench) -> None:
    """The field keeps its part; when the disk is back nothing is lost and the order goes out."""
    task = done(bench.service.request(ANNA, ONE))
    (order,) = bench.reader.orders
    database = bench.service._book._journal._file._database
    database.execute("PRAGMA query_only=ON")
    waiting = bench.service._reported(part(order, 0, [eui(C01, 1)], final=True))
    failed: list[object] = []
    waiting.addErrback(failed.append)
    (ill,) = bench.service.health()
    database.execute("PRAGMA query_only=OFF")
    bench.advance(2)
    (well,) = bench.service.health()
    bench.kill()
    bench.fresh()

    assert failed
    assert not ill.ok
    assert well.ok
    assert bench.service.task(task.id).state is ReadState.DONE


def test_a_group_of_loads_and_a_module_are_read_by_their_names(bench: Bench) -> None:
    by_load = done(bench.service.request(ANNA, ReadRequest(groups=("LG",))))
    by_name = done(bench.service.request(ANNA, ReadRequest(modules=("C02-003", "C02-001"))))

    assert [member.device for member in by_load.shares[0].members] == ["C01-001"]
    assert [member.device for member in by_name.shares[0].members] == ["C02-001", "C02-003"]


def test_a_dispatcher_of_every_area_may_read_everything(bench: Bench) -> None:
    chief = Actor("chief", Role.DISPATCHER)
    bench.reader.up.add(0x1003)
    task = done(bench.service.request(chief, ReadRequest(points=("P-C03-001",))))

    assert task.state is ReadState.SENT
    assert task.state not in OVER


def test_listeners_hear_of_every_end(bench: Bench) -> None:
    heard: list[str] = []
    bench.service.subscribe(lambda task: heard.append(task.state))
    done(bench.service.request(ANNA, ONE))
    bench.advance(1)
    order: ReadOrder = bench.reader.orders[0]
    bench.reader.report(part(order, 0, [eui(C01, 1)], final=True))
    bench.advance(1)

    assert heard[-1] == ReadState.DONE
    assert ReadState.SENT in heard

