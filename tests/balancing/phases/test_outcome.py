"""Work orders from study to measured gain: kept on disk, looked up in the registry, measured by weeks before and after."""

from zoneinfo import ZoneInfo

import attrs
import numpy as np
import pytest

from scada.balancing.phases.gather import Sources, gathered
from scada.balancing.phases.orderbook import OrderBook
from scada.balancing.phases.outcome import move_states, outcome
from scada.balancing.phases.study import Asked, begun, study
from scada.balancing.phases.uneven import allocated, unevenness
from scada.clock import HOUR_S, NS
from scada.commands import Actor, Role
from scada.compute import ProcessPool
from scada.errors import CommandRejected, StartError
from scada.phase_orders import MoveState, NoGain, OrderedMove, OrderState, Proposal
from scada.phase_study import Objective, PhaseCheck, Unchecked
from scada.ports import Consumption, ResultTable
from scada.series import Buckets
from scada.site import BalanceGroup, Consumer, Directory, Feeder, Linecode, Medium, Point, Section, Site, Transformer
from tests.balancing.phases.world import households

N, START, ZONE = 30, 490_896, ZoneInfo("UTC")                  # 2026-01-01T00:00Z
WEEKS = 8
PHASE = np.repeat([0, 1, 2], [16, 9, 5])
MOVED = {0: (0, 2), 1: (0, 2), 2: (0, 1)}                     # the work of one day, in the middle
DAY = "2026-01-29"
ENGINEER = Actor("Vera", Role.ENGINEER)


def site(phase=PHASE, sections=True):
    return Site(
        transformers=(Transformer("T", "Street", 250.0, "north", "M", 4.0, 2.0, 0.3, "Dyn5"),),
        feeders=(Feeder("F", "T"),), linecodes=(Linecode("c", 0.64, 0.08, 0.64, 0.08),),
        sections=tuple(
            Section(f"S{n}", "F", "T" if not n else f"n{n - 1}", f"n{n}", 20.0, "c") for n in range(10) if sections),
        consumers=tuple(Consumer(f"K{n}", f"Flat {n}", f"L{one + 1}", "F") for n, one in enumerate(phase)),
        points=tuple(Point(f"P{n}", Medium.ELECTRICITY, f"K{n}", node=f"n{n % 10}") for n in range(N)),
        balance_groups=(BalanceGroup(
            "BG", Medium.ELECTRICITY, transformer="T", feed_tag="M/energy_import", members=tuple(f"P{n}" for n in range(N)),
        ),),
    )


class Stores:
    """Eight weeks of homes; three are on other phases from the work on; in the second half everybody takes a third more."""

    def __init__(self, moved=MOVED, grown=1.3):
        self.profiles = households(N, 7 * WEEKS)
        middle = self.profiles.shape[1] // 2
        self.profiles[:, middle:] *= grown
        after = PHASE.copy()
        for who, (_, to) in moved.items():
            after[who] = to
        self.power = np.concatenate(
            [allocated(self.profiles[:, :middle], PHASE), allocated(self.profiles[:, middle:], after)])
        self.computed = np.full(len(self.power), np.nan)
        self.read = 0

    def sources(self):
        return Sources(self.hourly, self.steps, self.balance, self.losses)

    def rows(self, first, last):
        return slice(max(first // HOUR_S - START, 0), max(last // HOUR_S - START, 0))

    def hourly(self, points, first, count):
        known = {f"P{n}": n for n in range(N)}
        rows = self.profiles[[known[one] for one in points]][:, first - START:first - START + count] / 1e3
        return Consumption(
            points=tuple(points), units=("kWh",) * len(points), first_hour=first, values=rows,
            quality=np.zeros(rows.shape, np.uint8))

    def steps(self, tag, edges, _how):
        self.read += 1
        at = edges[:-1] // NS // HOUR_S - START
        there = self.power[np.clip(at, 0, len(self.power) - 1), int(tag[-1]) - 1]
        values = np.where((at >= 0) & (at < len(self.power)), there, np.nan)
        return made(edges, values)

    def balance(self, _name, _span, first, last):
        rows = self.rows(first, last)
        start = (START + np.arange(rows.start, rows.stop)) * HOUR_S
        feed = self.power[rows].sum(axis=1) / 1e3
        return ResultTable(start, {"feed": feed, "imbalance": 0.05 * feed, "own": np.full(len(feed), 0.01)})

    def losses(self, _name, _span, first, last):
        rows = self.rows(first, last)
        start = (START + np.arange(rows.start, rows.stop)) * HOUR_S
        return ResultTable(start, {"technical": self.computed[rows]})


def made(edges, values):
    bad = np.where(np.isnan(values), 255, 0).astype(np.uint8)
    fields = {
        "edges": edges, "values": values, "quality": bad, "completeness": np.full(len(values), np.nan),
        "at": edges[:-1], "start": edges[:-1], "count": np.ones(len(values), np.int64),
    }
    return Buckets(**{one.name: fields.get(one.name, values) for one in attrs.fields(Buckets)})


def proposal(moved=MOVED):
    return Proposal(START, 168, Objective.SQUARES, tuple(
        OrderedMove(f"P{who}", f"Flat {who}", f"L{of + 1}", f"L{to + 1}", f"L{of + 1}", 0.5, False)
        for who, (of, to) in moved.items()
    ), PhaseCheck(10.0, 5.0, 9.0, 220.0, 0), None)


def after_the_work(moved=MOVED):
    phase = PHASE.copy()
    for who, (_, to) in moved.items():
        phase[who] = to
    return Directory(site(phase))


@pytest.fixture
def book(tmp_path):
    one = OrderBook(tmp_path / "orders.sqlite", lambda *_: None)
    one.open()
    yield one
    one.close()


def at(day, hour=0):
    return (START + 24 * day + hour) * HOUR_S * NS


@pytest.fixture
def order(book):
    kept = book.keep(ENGINEER, "BG", proposal(), at(27))
    return book.settle(ENGINEER, kept.number, None, OrderState.DONE, "", at=at(28), today=DAY)


def test_the_gain_is_measured_by_both_ways_though_everybody_takes_more_than_before(order):
    """The truth is known: the same hours with and without the moves. A plain before and after would say much less."""
    stores = Stores()
    found = outcome(order, after_the_work(), ZONE, START + 24 * 56, stores.sources())
    late = stores.profiles[:, 24 * 29:]
    phase = PHASE.copy()
    for who, (_, to) in MOVED.items():
        phase[who] = to
    truth = 1 - unevenness(allocated(late, phase)).mean() / unevenness(allocated(late, PHASE)).mean()
    plain = 1 - unevenness(stores.power[24 * 29:]).mean() / unevenness(stores.power[:24 * 28]).mean()

    assert found.lack is None
    assert found.moves == (MoveState.DONE,) * 3
    assert (found.days_before, found.days_after) == (27, 27)
    assert found.load == pytest.approx(1.3, abs=0.05)
    assert found.without.neutral == pytest.approx(truth)
    assert found.without.low < truth < found.without.high
    assert found.alike.low < truth < found.alike.high
    assert found.alike.neutral - plain > 0.05
    assert found.alike.left_out > 0


def test_moves_that_did_nothing_are_not_said_to_have_gained(order):
    """The registry was changed, the wires were not: the comparison of like hours holds nought; nothing is made up."""
    found = outcome(order, after_the_work(), ZONE, START + 24 * 56, Stores(moved={}, grown=1.0).sources())

    assert found.alike.low < 0 < found.alike.high


def test_too_few_days_an_open_order_and_a_registry_without_moves_have_no_gain(book, order):
    """Each for its own reason, and nothing is read for it."""
    stores = Stores()
    early = outcome(order, after_the_work(), ZONE, START + 24 * 33, stores.sources())
    none = outcome(order, Directory(site()), ZONE, START + 24 * 56, stores.sources())
    again = book.settle(ENGINEER, order.number, OrderState.DONE, OrderState.OPEN, "", at=at(40), today="2026-02-10")
    still = outcome(again, after_the_work(), ZONE, START + 24 * 56, stores.sources())

    assert (early.lack, early.figures) == (NoGain.TOO_EARLY, (4, 7))
    assert none.lack is NoGain.NONE_MOVED
    assert still.lack is NoGain.NOT_DONE
    assert stores.read == 0


def test_what_the_registry_says_of_each_move():
    """Done, not done, elsewhere, said before the order, gone."""
    kept = proposal({0: (0, 2), 1: (0, 2), 2: (0, 1)})
    said_before = attrs.evolve(kept.moves[2], registered="L2")
    gone = attrs.evolve(kept.moves[0], point="P99")
    phase = PHASE.copy()
    phase[[0, 1, 2]] = 2, 1, 1
    moves = (*kept.moves[:2], said_before, gone, attrs.evolve(kept.moves[0], point="P5"))
    found = move_states(attrs.evolve(kept, moves=moves), Directory(site(phase)))

    assert found == (MoveState.DONE, MoveState.ELSEWHERE, MoveState.SAID_BEFORE, MoveState.GONE, MoveState.NOT_DONE)


def test_orders_outlive_a_restart_and_are_audited_before_they_count(tmp_path):
    """Once for the same moves; whoever may not order does not; an audit that cannot be written keeps nothing."""
    said, path = [], tmp_path / "orders.sqlite"
    book = OrderBook(path, lambda actor, action, target, detail: said.append((actor.name, action, target)))
    book.open()
    first = book.keep(ENGINEER, "BG", proposal(), at(1))
    again = book.keep(ENGINEER, "BG", proposal(), at(2))
    with pytest.raises(CommandRejected, match="only engineers"):
        book.keep(Actor("Ion", Role.DISPATCHER), "BG", proposal({4: (0, 1)}), at(2))
    with pytest.raises(CommandRejected, match="nothing to be moved"):
        book.keep(ENGINEER, "BG", proposal({}), at(2))
    book.settle(ENGINEER, 1, OrderState.OPEN, OrderState.WITHDRAWN, " rain ", at=at(3), today="2026-01-04")
    with pytest.raises(CommandRejected, match="withdrawn by now"):
        book.settle(ENGINEER, 1, OrderState.OPEN, OrderState.DONE, "", at=at(3), today="2026-01-04")
    with pytest.raises(CommandRejected, match="no day up to"):
        book.settle(ENGINEER, 1, None, OrderState.DONE, "", at=at(3), today="2026-01-04", day="2026-01-05")
    book.close()
    book = OrderBook(path, lambda *_: 1 / 0)
    book.open()
    with pytest.raises(ZeroDivisionError):
        book.keep(ENGINEER, "BG", proposal({5: (0, 1)}), at(5))
    kept = book.of("BG")
    one = book.one(1)
    book.close()
    with pytest.raises(StartError):
        OrderBook(tmp_path, lambda *_: None).open()

    assert first.number == again.number == 1
    assert [one.number for one in kept] == [1]
    assert one.proposal == first.proposal == proposal()
    assert [(change.before, change.after, change.note) for change in one.changes] == [
        ("", "open", ""), ("open", "withdrawn", "rain")]
    assert said == [("Vera", "phase_order.keep", "BG"), ("Vera", "phase_order.settle", "1")]


def given(stores, directory, hours=24 * 8):
    return gathered(directory, directory.balance_group["BG"], START, hours, ZONE, stores.sources())


def test_computed_losses_are_deducted_where_there_are_any_else_the_normal_share():
    """Hour by hour, with the metering's own consumption; a group that is not fed by the transformer's meter has none."""
    stores, directory = Stores(), Directory(site())
    stores.computed[10:] = 1.5
    found = given(stores, directory)
    other = site()
    elsewhere = attrs.evolve(other.balance_groups[0], feed_tag="X/energy_import")
    apart = Directory(attrs.evolve(other, balance_groups=(elsewhere,)))
    share = directory.balance_group["BG"].normal_share
    feed = stores.power[:24 * 8].sum(axis=1) / 1e3
    made = begun(Asked("BG", START, 24 * 8, found)).study
    net = made.net[HOUR_S].measured

    assert found.computed.sum() == 24 * 8 - 10 == made.computed
    assert found.lost[:10] == pytest.approx(share * feed[:10] + 0.01)
    assert found.lost[10:] == pytest.approx(1.51)
    assert net[10:] == pytest.approx(0.05 * feed[10:] - 1.51)
    assert not given(stores, apart).computed.any()


def test_a_study_in_other_processes_is_the_same_and_says_how_far_it_is():
    """All that is sent can be sent; every allocation is a step of its progress."""
    asked, said = Asked("BG", START, 24 * 8, given(Stores(), Directory(site())), 2), []
    here = study(asked)
    there = study(asked, ProcessPool(1).each, lambda *step: said.append(step))

    assert there.points == here.points
    assert there.points[0].check is not None
    assert there.order == here.order
    assert said[0] == ("computing", 0, 1)
    assert said[-1][0] == "checking"
    assert said[-1][1] == said[-1][2] > 2


def test_why_nothing_was_checked_and_who_is_not_in_the_network():
    """No sections; sections that are wrong; consumers without a node; a line that cannot carry the load."""
    stores, good = Stores(), site()
    bare = Directory(site(sections=False))
    wrong = Directory(attrs.evolve(good, transformers=(attrs.evolve(good.transformers[0], uk_percent=None),)))
    out = Directory(attrs.evolve(good, points=tuple(attrs.evolve(one, node="" if n < 4 else one.node)
                                                    for n, one in enumerate(good.points))))
    thin = Directory(attrs.evolve(good, linecodes=(Linecode("c", 640.0, 80.0, 640.0, 80.0),)))
    found = [study(Asked("BG", START, 72, given(stores, one, 72), 1)) for one in (bare, wrong, out, thin)]

    assert [one.unchecked for one in found] == [Unchecked.NO_NETWORK, Unchecked.WRONG_NETWORK, None, Unchecked.COLLAPSED]
    assert [one.outside for one in found] == [0, 0, 4, 0]
    assert [one.points[0].check is None for one in found] == [True, True, False, True]
