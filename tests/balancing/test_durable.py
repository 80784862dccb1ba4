"""Nothing that is due is forgotten: deliveries of any age, changes of the registry, deaths at any moment between."""

from tempfile import TemporaryDirectory

import attrs
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from scada.balancing.compute import DAY_S
from scada.clock import HOUR_S
from scada.ports import BALANCE_COLUMNS, ResultTable
from scada.site import Medium, MeterPeriod
from scada.sqlite_file import SqliteFile
from tests.balancing.test_service import hour_passes
from tests.balancing.world import MemoryResults, World, estate
from tests.metering.world import HOUR, house

NOW = HOUR + 3000                       # four months after the first hour


def by_points(members=("P0", "P1")):
    """Three flats, of which the last one's meter counts what all get: nothing but pulses enters the balance."""
    group = attrs.evolve(estate().balance_groups[0], medium=Medium.WATER, feed_tag="", feed_point="P2", members=members)
    return attrs.evolve(house(3, 100.0, Medium.WATER), balance_groups=(group,))


def die(world):
    """Whatever the services have in memory is gone; what comes next finds the files."""
    world.service._stopping = True
    while world.service._unsubscribe:
        world.service._unsubscribe.pop()()
    world.service._transformers.stop()
    world.service._worker.stop()
    world.site = world.registry.directory.site
    world._build()


def from_scratch(world):
    """What a server that never knew anything computes of the same history, by span and hour; versions aside."""
    kept = world.results, world._data
    world.stop()
    world.site = world.registry.directory.site
    world.results, world._data = MemoryResults(), TemporaryDirectory()
    world._build()
    world.start().settle(30)
    found = rows(world)
    world.stop()
    world.results, world._data = kept
    return found


def rows(world):
    """All that is stored, by span and start."""
    return {
        (span, start): [value for name, value in sorted(row.items()) if name != "version"]
        for span in (HOUR_S, DAY_S) for start, row in world.table(span).items()
    }


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for key, row in wanted.items():
        np.testing.assert_allclose(found[key], row, rtol=1e-9, err_msg=str(key))


@pytest.fixture
def world():
    one = World(by_points(), start=NOW * HOUR_S).start()
    for n in range(3):
        one.intervals.deliver(n + 1, 0, HOUR - 900, [100 * (n + 1)] * 24)
    one.settle()
    return one


def test_hours_that_came_before_a_death_are_balanced_after_it_whatever_their_age(world):
    """Merged, told, and nobody had computed anything yet."""
    for n in range(3):
        world.intervals.deliver(n + 1, 0, HOUR, [10, 20])
    die(world)
    world.start()

    assert world.table()[HOUR]["completeness"] == 1.0
    assert_same(rows(world), from_scratch(world))


def test_a_start_after_which_nothing_came_computes_only_the_last_day(world):
    """No look-back over what was dealt with."""
    before = world.intervals.reads
    world.restart()
    world.settle(10)

    assert world.intervals.reads - before == 2              # members and feed, once


def test_a_period_that_moves_far_back_is_followed_in_exactly_its_hours(world):
    """Four months ago, and no other row is touched."""
    before = world.table()
    world.registry.replace(attrs.evolve(world.registry.directory.site, meters=tuple(
        attrs.evolve(one, valid_from=HOUR - 890) if one.point == "P1" else one for one in world.site.meters
    )))
    world.settle()
    after = world.table()

    changed = {hour for hour in before if before[hour]["version"] != after[hour]["version"]}
    assert changed == set(range(HOUR - 900, HOUR - 890))
    assert_same(rows(world), from_scratch(world))


def test_a_change_of_the_registry_is_followed_though_the_server_dies_at_once(world):
    """Before it was noted, and after."""
    for step, valid_from in enumerate((HOUR - 890, HOUR - 895)):
        world.registry.replace(attrs.evolve(world.site, meters=tuple(
            attrs.evolve(one, valid_from=valid_from) if one.point == "P1" else one for one in world.site.meters
        )))
        if step:
            world.results.broken = True
            world.settle()
            world.results.broken = False
        die(world)
        world.start().settle(20)

        assert world.table()[valid_from - 1]["completeness"] == 0.5
        assert world.table()[valid_from]["completeness"] == 1.0


def test_a_change_that_is_taken_back_while_it_is_computed_leaves_nothing_behind(world):
    """Rows of the registry in between are computed again, also after a death."""
    site = world.registry.directory.site
    shorter = attrs.evolve(site, meters=tuple(
        attrs.evolve(one, valid_from=HOUR - 890) if one.point == "P1" else one for one in site.meters
    ))
    world.registry.replace(shorter)
    world.settle()
    world.results.broken = True
    world.registry.replace(site)
    world.settle()
    world.results.broken = False
    die(world)
    world.start().settle(20)

    assert_same(rows(world), from_scratch(world))


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("twice", [False, True])
def test_a_registry_that_changes_while_hours_of_its_last_change_are_computed_has_the_last_word(
    world, monkeypatch, dies, twice
):
    """What was read under one, and is stored under the other, is computed again; also if it was changed there and back."""
    site = world.registry.directory.site
    shorter = attrs.evolve(site, meters=tuple(
        attrs.evolve(one, valid_from=HOUR - 890) if one.point == "P1" else one for one in site.meters
    ))
    other = attrs.evolve(shorter, meters=tuple(
        attrs.evolve(one, eui=1) if one.point == "P2" else one for one in shorter.meters
    ))
    read, put, left = world.intervals.read, world.results.put, [shorter, other] if twice else [site]

    def amid(*asked):
        found = read(*asked)
        if left:
            world.registry.replace(left.pop())
        return found

    def last_act(*row):
        world.service._stopping = True
        return put(*row)

    monkeypatch.setattr(world.intervals, "read", amid)
    world.registry.replace(shorter)
    if dies:
        monkeypatch.setattr(world.results, "put", last_act)
    world.settle()
    monkeypatch.undo()
    if dies:
        die(world)
        world.start()
    world.settle(20)

    assert not left
    assert_same(rows(world), from_scratch(world))


def test_an_edge_that_passed_before_a_long_outage_is_balanced_after_it():
    """The register went by the full hour, the server died, and came back nine days later."""
    world = World().start()
    hour_passes(world, 1000.0, (0, 0))
    for n, pulses in enumerate((5000, 4000)):
        world.intervals.deliver(n + 1, 0, HOUR + 1, [pulses])
    world.settle()                                          # its members are dealt with
    world.results.broken = True
    hour_passes(world, 1010.0, (), delivered=False)
    die(world)
    world.results.broken = False
    world.until(HOUR + 9 * 24)
    world.start().settle(20)

    assert world.table()[HOUR + 1]["imbalance"] == pytest.approx(1.0)


def test_what_lies_behind_is_counted_in_the_health_and_news_of_now_come_first(world, monkeypatch):
    """Months of an import wait while the hour that just came is balanced."""
    for day in range(60):
        for n in range(3):
            world.intervals.deliver(n + 1, 0, HOUR + 24 * day, [1] * 24)
    die(world)
    world.service.start()
    for n in range(3):
        world.intervals.deliver(n + 1, 0, NOW - 1, [7])
    order = []
    put = world.results.put
    monkeypatch.setattr(world.results, "put", lambda kind, name, span, table: (
        order.append(int(table.start.max()) // HOUR_S), put(kind, name, span, table),
    )[1])
    (health,) = world.service.health()
    world.settle(30)

    assert health.figures["days_left"] >= 180
    assert "days are being balanced anew" in health.text
    assert order[0] == NOW - 1
    assert next(iter(world.service.health())).figures["days_left"] == 0
    assert_same(rows(world), from_scratch(world))


def test_a_group_that_is_gone_is_forgotten_and_comes_back_whole(world):
    """Nobody computes it meanwhile."""
    site = world.registry.directory.site
    world.registry.replace(attrs.evolve(site, balance_groups=()))
    world.settle()
    for n in range(3):
        world.intervals.deliver(n + 1, 0, HOUR, [10])
    world.settle()
    assert HOUR not in world.table()
    world.registry.replace(site)
    world.settle()

    assert world.table()[HOUR]["completeness"] == 1.0


# ------------------------------------------------------------------------------------------------ anything at all
class AnyOrder(RuleBasedStateMachine):
    """Deliveries, changes, trouble and deaths in any order."""

    def __init__(self):
        super().__init__()
        self.world = World(by_points(), start=NOW * HOUR_S).start()

    @rule(
        n=st.integers(0, 3), first=st.sampled_from([0, 30, 700, 2990]), count=st.integers(1, 30), pulses=st.integers(0, 9),
    )
    def deliver(self, n, first, count, pulses):
        self.world.intervals.deliver(n + 1, 0, HOUR + first, [pulses] * min(count, 3000 - first))

    @rule(
        n=st.integers(0, 2), valid_from=st.sampled_from([-1000, 5, 33, 710]), to=st.sampled_from([None, 40, 2995]),
        eui=st.integers(0, 3), per_unit=st.sampled_from([100.0, 50.0]), members=st.sampled_from([("P0", "P1"), ("P0",)]),
    )
    def change(self, n, valid_from, to, eui, per_unit, members):
        """A meter of a point, and who is a member."""
        site = self.world.registry.directory.site
        end = None if to is None else HOUR + max(to, valid_from + 1)
        period = MeterPeriod(f"S{n}", f"P{n}", eui + 1, 0, per_unit, HOUR + valid_from, end)
        meters = (*(one for one in site.meters if one.point != f"P{n}"), period)
        self.world.registry.replace(attrs.evolve(site, meters=meters, balance_groups=by_points(members).balance_groups))

    @rule(seconds=st.sampled_from([0.5, 1.0, 12.0]), broken=st.booleans())
    def pass_time(self, seconds, broken):
        """A second of a full disk, perhaps."""
        self.world.results.broken = broken
        self.world.settle(1.0 if broken else seconds)
        self.world.results.broken = False

    @rule()
    def die(self):
        die(self.world)
        self.world.service.start()

    def teardown(self):
        world = self.world
        world.settle(60)
        found, left = rows(world), next(iter(world.service.health())).figures["days_left"]
        wanted = from_scratch(world)

        assert left == 0
        # what is held of hours in which nobody measures any more stays as a row that says so
        assert_same({key: row for key, row in found.items() if key in wanted}, wanted)
        for key in found.keys() - wanted.keys():
            assert world.results.rows["balance", "BG-1", key[0]][key[1] * HOUR_S]["completeness"] == 0.0


def test_in_any_order_every_hour_is_balanced_by_what_is_held_and_known_at_the_end(monkeypatch):
    """As a server computes it that never knew anything else."""
    prepare = SqliteFile._prepare

    def unsynced(self, database, read_only):
        """Processes die here, not machines."""
        prepare(self, database, read_only)
        database.execute("PRAGMA synchronous=OFF")

    monkeypatch.setattr(SqliteFile, "_prepare", unsynced)
    run_state_machine_as_test(
        AnyOrder, settings=settings(max_examples=80, stateful_step_count=30, deadline=None, derandomize=True)
    )


def test_hours_that_somebody_wishes_anew_are_due_until_they_are_computed(world):
    """Whoever dies between; the wish is answered when it is durable."""
    hour = HOUR - 895
    world.results.put("balance", "BG-1", HOUR_S, ResultTable(
        np.array([hour * HOUR_S]), {name: np.array([1.0]) for name in BALANCE_COLUMNS}
    ))
    accepted = []
    world.service.recompute(["BG-1"], hour - 1, hour + 1).addCallback(accepted.append)
    world.results.broken = True
    world.settle()
    assert accepted == [None]
    die(world)
    world.results.broken = False
    world.start()
    world.settle(10)

    assert world.table()[hour]["feed"] == 3.0
    assert world.table()[hour]["version"] == 2.0
    assert world.service._memory.touched == {}
