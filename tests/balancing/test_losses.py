"""Technical losses of the registry's networks: hour by hour as the meters tell, stored, shown, reported."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import numpy as np
import pytest
from twisted.internet.defer import succeed

from scada.balancing import technical
from scada.balancing.loss_service import LOOK_BACK_H, LossService
from scada.balancing.memory import Memory
from scada.balancing.network import DEFAULTS, FormFactor, losses, powers, solve, solve_meshed
from scada.balancing.network import feeder as model_of
from scada.bus import TagBus
from scada.clock import HOUR_S, NS
from scada.metering.service import MeteringService
from scada.site import BalanceGroup, Consumer, Directory, Feeder, Linecode, Medium, Point, Section, Transformer
from scada.tags import Quality
from tests.balancing.world import MemoryResults
from tests.fakes import InlinePool, LoopClock, site_clock
from tests.metering.world import HOUR, FixedRegistry, MemoryIntervals, house

PULSES = ((1500, 800, 2500), (700, 0, 4000), (3000, 1200, 900))     # Wh of P0, P1, P2


def street(**changes):
    """Three flats on one line, one on each phase, behind T01; T02 has a network that is wrong."""
    site, node = house(3), ("pole 1", "pole 2", "pole 2")
    return attrs.evolve(attrs.evolve(
        site,
        transformers=(
            Transformer("T01", "Street", 100.0, "north", "", 4.0, 1.2, 0.2, "Dyn5"), Transformer("T02", uk_percent=4.0),
        ),
        feeders=(Feeder("F1", "T01"), Feeder("F2", "T02")),
        linecodes=(Linecode("4x50", 0.64, 0.08, 0.64, 0.08),),
        sections=(
            Section("S2", "F1", "pole 2", "pole 1", 150.0, "4x50"), Section("S1", "F1", "T01", "pole 1", 200.0, "4x50"),
            Section("X1", "F2", "a", "b", 10.0, "4x50"),
        ),
        consumers=tuple(Consumer(f"F{n}", f"Flat {n}", f"L{n + 1}", "F1") for n in range(3)),
        points=tuple(attrs.evolve(one, node=node[n]) for n, one in enumerate(site.points)),
    ), **changes)


class Street:
    """A server's part that computes losses; `restart` keeps what is on disk."""

    def __init__(self, site=None) -> None:
        self.registry, self.intervals, self.results = FixedRegistry(site or street()), MemoryIntervals(), MemoryResults()
        self.reactor, self.folder = LoopClock(), TemporaryDirectory()
        self.told: list[tuple[tuple[str, ...], int, int]] = []             # balances that are due again
        self.clock = site_clock(self.reactor, start=(HOUR + 3) * HOUR_S)
        self.start()

    def start(self) -> None:
        pool = InlinePool()
        self.bus = TagBus(self.clock, self.reactor)
        self.metering = MeteringService(
            self.registry, self.intervals, self.intervals, self.bus, self.clock, self.reactor, pool
        )
        self.service = LossService(
            self.registry, self.bus, self.bus, self.metering, self.intervals, self.intervals, self.results, self.clock,
            self.reactor, pool, Path(self.folder.name), self.balances,
        )
        self.service.start()
        self.settle()

    def balances(self, groups, first, last):
        self.told.append((groups, first, last))
        return succeed(None)

    def restart(self) -> None:
        assert self.service.stop().called
        self.start()

    def settle(self) -> None:
        for _ in range(8):
            self.reactor.advance(0.5)

    def deliver(self, *flats: int) -> None:
        for flat in flats:
            self.intervals.deliver(flat + 1, 0, HOUR, PULSES[flat])
        self.settle()

    def rows(self) -> dict[int, dict[str, float]]:
        found = self.service.table("T01", 0, 2**40)
        return {
            start // HOUR_S - HOUR: {name: float(column[row]) for name, column in found.columns.items()}
            for row, start in enumerate(found.start.tolist())
        }


@pytest.fixture
def world():
    return Street()


def test_an_hour_has_a_loss_once_all_its_service_points_are_known(world):
    """What is stored is what the functions on arrays say; before that the hour tells how complete it is."""
    world.deliver(0, 1)
    assert world.rows()[0]["completeness"] == pytest.approx(2 / 3)
    assert np.isnan(world.rows()[0]["technical"])
    world.deliver(2)
    rows = world.rows()

    network = technical.known(world.registry.directory).networks["T01"]
    model = model_of(network)
    lost = losses(model, solve(model, powers(network, np.array(PULSES, dtype=float).T)), DEFAULTS[60])
    assert [rows[hour]["technical"] for hour in range(3)] == pytest.approx((lost.total / 1000).tolist())
    assert [rows[hour]["neutral"] for hour in range(3)] == pytest.approx((lost.lines[:, 3] / 1000).tolist())
    assert rows[0]["transformer"] > 0.2                                     # kWh: no-load loss alone
    for row in rows.values():
        assert row["phases"] + row["neutral"] + row["transformer"] == pytest.approx(row["technical"])
    assert (rows[0]["taken"], rows[0]["version"]) == (5.2, 2.0)
    assert set(rows) == {0, 1, 2}


def test_the_newest_complete_hour_is_on_the_bus(world):
    world.deliver(0, 1, 2)
    lost, quality, at = world.bus.snapshot().get("T01-losses/technical_loss")

    assert lost == pytest.approx(world.rows()[2]["technical"])
    assert (quality, at) == (Quality.GOOD, (HOUR + 3) * HOUR_S * NS)
    assert world.bus.snapshot().get("T01-losses/technical_loss_percent")[0] == pytest.approx(100 * lost / 7.4)


def test_late_data_and_nothing_else_raises_the_version(world):
    world.deliver(0, 1, 2)
    world.intervals.deliver(2, 0, HOUR + 1, [500])
    world.settle()

    versions = [world.rows()[hour]["version"] for hour in range(3)]
    assert versions[1] > versions[0] == versions[2]


def test_a_network_that_changes_is_computed_anew(world):
    world.deliver(0, 1, 2)
    before = world.rows()
    longer = tuple(attrs.evolve(one, length_m=one.length_m * 2) for one in street().sections)
    world.registry.replace(street(sections=longer))
    world.settle()

    assert all(world.rows()[hour]["phases"] > 1.9 * before[hour]["phases"] for hour in range(3))


def test_the_form_factor_of_the_registry_is_taken_and_another_one_is_a_changed_network(world):
    """What is hidden goes with it, and so does what is not sure of it; one for other means than those of an hour is not."""
    world.deliver(0, 1, 2)
    shipped, first = world.rows(), world.service.report("T01", HOUR, 3)
    one, other = street().transformers
    own = attrs.evolve(
        one, form_alone=2 * DEFAULTS[60].alone, form_together=0.0, form_alike=2 * DEFAULTS[60].alike, form_doubt=0.1,
        form_source="the meters of School street, May",
    )
    world.registry.replace(street(transformers=(own, other)))
    world.settle()
    found, report = world.rows(), world.service.report("T01", HOUR, 3)

    network = technical.known(world.registry.directory).networks["T01"]
    model = model_of(network)
    flow = solve(model, powers(network, np.array(PULSES, dtype=float).T))
    steady = losses(model, flow).total / 1000
    lost = losses(model, flow, FormFactor(own.form_alone, 0.0, own.form_alike, 0.1)).total / 1000
    assert [found[hour]["technical"] for hour in range(3)] == pytest.approx(lost.tolist())
    assert [found[hour]["uncertainty"] for hour in range(3)] == pytest.approx((0.1 * (lost - steady)).tolist())
    assert {row["version"] for row in found.values()} == {1 + row["version"] for row in shipped.values()}
    assert (first.fitted, first.form_source) == (False, "")
    assert (report.fitted, report.form_source) == (True, "the meters of School street, May")
    assert report.lost == pytest.approx(lost.sum())

    world.registry.replace(street(transformers=(attrs.evolve(own, form_minutes=15), other)))
    world.settle()
    assert world.rows()[0]["technical"] == pytest.approx(shipped[0]["technical"])
    assert not world.service.report("T01", HOUR, 3).fitted


def test_what_was_merged_while_nobody_listened_is_computed_after_the_start(world):
    """Also of hours that a new network is not computed anew for."""
    assert world.service.stop().called
    early = HOUR - LOOK_BACK_H - 100
    for flat in range(3):
        world.intervals.deliver(flat + 1, 0, early, [1000])
    world.start()

    assert world.rows()[early - HOUR]["taken"] == pytest.approx(3.0)


def test_a_wrong_network_is_named_and_the_others_are_computed(world):
    world.deliver(0, 1, 2)
    (health,) = world.service.health()

    assert not health.ok
    assert health.text == "1 networks whose losses are computed; 1 are wrong, see the losses of T02"
    assert world.service.problems("T01") == ()
    assert [str(one) for one in world.service.problems("T02")] == ["points: no point has a node in the network of T02"]
    assert world.service.problems("T03") is None
    assert world.service.report("T02", HOUR, 3) is None
    assert len(world.rows()) == 3


RING = (*street().sections[:2], Section("S3", "F1", "pole 2", "T01", 300.0, "4x50"))


def test_a_network_with_loops_is_computed_by_the_other_engine(world):
    """Losses of every hour, and a report that names no consumer's part and no uncertainty: what is hidden is not known."""
    world.registry.replace(street(sections=RING))
    world.deliver(0, 1, 2)
    rows, report = world.rows(), world.service.report("T01", HOUR, 3)

    network = technical.known(world.registry.directory).networks["T01"]
    expected = solve_meshed(network, powers(network, np.array(PULSES, dtype=float).T)).losses
    assert [rows[hour]["technical"] for hour in range(3)] == pytest.approx((expected.total / 1000).tolist())
    assert [rows[hour]["neutral"] for hour in range(3)] == pytest.approx((expected.lines[:, 3] / 1000).tolist())
    assert all(np.isnan(row["uncertainty"]) for row in rows.values())
    assert [one.text for one in world.service.health()] == ["1 networks whose losses are computed"]
    assert report.looped
    assert np.isnan(report.uncertainty)
    assert report.lost == pytest.approx(expected.total.sum() / 1000)
    assert [(one.name, one.ends) for one in report.sections] == [
        ("S1", ("T01", "pole 1")), ("S3", ("T01", "pole 2")), ("S2", ("pole 2", "pole 1")),
    ]                                                                       # the last closes the loop
    assert sum(one.lost for one in report.sections) == pytest.approx(report.phases + report.neutral)
    assert all(0 < one.current < 25 for one in report.sections)
    assert 225 < report.sections[1].lowest < 231
    assert all(np.isnan(one.lost) and one.taken > 0 for one in report.consumers)
    version = rows[0]["version"]
    world.service.recompute(["T01"], HOUR, HOUR + 3)
    world.settle()
    assert world.rows()[0]["version"] == version                            # the same again is no news


def test_without_the_other_engine_its_network_alone_is_not_computed(world, monkeypatch):
    monkeypatch.setitem(sys.modules, "power_grid_model", None)
    site = street()
    world.registry.replace(attrs.evolve(
        site, sections=(*site.sections[:2], Section("X2", "F2", "b", "a", 9.0, "4x50"), site.sections[2]),
        transformers=(site.transformers[0], attrs.evolve(site.transformers[1], root="a")),
        consumers=(*site.consumers, Consumer("K", phases="L1", feeder="F2")),
        points=(*site.points, Point("PX", Medium.ELECTRICITY, "K", node="b")),
    ))
    world.deliver(0, 1, 2)
    (health,) = world.service.health()

    assert not health.ok
    assert health.text == (
        "1 networks whose losses are computed; 1 have loops and are not computed, T02 among them: power-grid-model is to "
        "be installed (in the checkout: .venv/bin/pip install -c constraints.txt -e '.[network]')"
    )
    assert (health.figures["wrong_networks"], health.figures["networks_without_engine"]) == (0, 1)
    assert len(world.rows()) == 3


def test_the_report_adds_up_and_says_where_and_by_whom(world):
    world.deliver(0, 1, 2)
    found, rows = world.service.report("T01", HOUR - 1, 4), world.rows()

    assert (found.hours, found.known, found.root) == (4, 3, "T01")
    assert found.lost == pytest.approx(sum(row["technical"] for row in rows.values()))
    assert [one.name for one in found.sections] == ["S1", "S2"]             # nearer ones first, whatever was entered
    assert [one.ends for one in found.sections] == [("T01", "pole 1"), ("pole 1", "pole 2")]
    assert sum(one.lost for one in found.sections) == pytest.approx(found.phases + found.neutral)
    no_load = 0.2 * 3
    assert sum(one.lost for one in found.consumers) == pytest.approx(found.lost - no_load)
    assert found.sections[1].lowest < found.sections[0].lowest < 231
    assert found.sections[1].current == pytest.approx(4000 / found.consumers[1].lowest)
    assert [(one.point, one.consumer, one.node, one.phases) for one in found.consumers] == [
        ("P0", "Flat 0", "pole 1", "L1"), ("P1", "Flat 1", "pole 2", "L2"), ("P2", "Flat 2", "pole 2", "L3"),
    ]
    assert [one.taken for one in found.consumers] == pytest.approx([4.8, 4.7, 5.1])


def test_a_balance_asks_for_the_losses_of_its_own_hours(world):
    """No matter whether they are stored yet; NaN where there is no network or not every meter."""
    world.deliver(0, 1, 2)
    directory = world.registry.directory
    found = technical.technical(world.metering, directory, "T01", HOUR - 1, 4)

    assert np.isnan(found[0])
    assert found[1:] == pytest.approx([world.rows()[hour]["technical"] for hour in range(3)])
    assert np.isnan(technical.technical(world.metering, directory, "T02", HOUR, 3)).all()
    assert np.isnan(technical.technical(world.metering, directory, "", HOUR, 3)).all()


def test_only_a_group_behind_its_transformers_meter_deducts_the_losses_of_all_lines(world):
    """A house of the same transformer has some part of them, nobody knows which."""
    world.deliver(0, 1, 2)
    site = street()
    metered = (attrs.evolve(site.transformers[0], meter="T01-meter"), site.transformers[1])
    groups = (
        BalanceGroup("whole", Medium.ELECTRICITY, "", "T01", "T01-meter/energy_import", members=("P0", "P1", "P2")),
        BalanceGroup("house", Medium.ELECTRICITY, "", "T01", feed_point="P0", members=("P1",)),
        BalanceGroup("other", Medium.ELECTRICITY, "", "", "T01-meter/energy_import", members=("P1",)),
    )
    world.registry.replace(attrs.evolve(site, transformers=metered, balance_groups=groups))
    lost = technical.of_groups(world.registry, world.metering)

    assert lost("whole", HOUR, 3) == pytest.approx([world.rows()[hour]["technical"] for hour in range(3)])
    assert all(np.isnan(lost(name, HOUR, 3)).all() for name in ("house", "other", "nobody"))


def test_hours_of_long_ago_are_computed_anew_when_somebody_wishes_it(world):
    """A changed network leaves them as they are; a wish outlives a restart, and the balances that deduct it are told."""
    site = street()
    metered = (attrs.evolve(site.transformers[0], meter="T01-meter"), site.transformers[1])
    groups = (
        BalanceGroup("whole", Medium.ELECTRICITY, "", "T01", "T01-meter/energy_import", members=("P0", "P1", "P2")),
        BalanceGroup("house", Medium.ELECTRICITY, "", "T01", feed_point="P0", members=("P1",)),
    )
    site = attrs.evolve(site, transformers=metered, balance_groups=groups)
    world.registry.replace(site)
    early = HOUR - LOOK_BACK_H - 150
    for flat in range(3):
        world.intervals.deliver(flat + 1, 0, early, [1000 * (flat + 1)])
    world.settle()
    before = world.rows()[early - HOUR]
    world.registry.replace(attrs.evolve(site, sections=tuple(
        attrs.evolve(one, length_m=one.length_m * 2) for one in site.sections
    )))
    world.settle()
    assert world.rows()[early - HOUR] == before

    accepted = []
    world.service.recompute(["T01"], early - 24, early + 850).addCallback(accepted.append)
    assert accepted == [("whole",)]
    assert world.told == [(("whole",), early - 24, early + 850)]
    world.restart()                                         # before anything was computed
    after = world.rows()[early - HOUR]
    assert after["phases"] > 1.9 * before["phases"]
    assert after["version"] == before["version"] + 1

    world.restart()
    (health,) = world.service.health()
    assert health.figures["days_left"] == 0.0
    assert world.service._wished == {}


def test_days_that_are_being_computed_are_not_yet_done(world):
    """Whoever waits for them at the terminal is told that they are there when they are stored, not when they are begun."""
    put, seen = world.results.put, []

    def watched(*given):
        seen.append(sum(one.figures["days_left"] for one in world.service.health()))
        return put(*given)

    world.results.put = watched
    world.deliver(0, 1, 2)

    assert seen
    assert min(seen) >= 1.0
    assert sum(one.figures["days_left"] for one in world.service.health()) == 0.0


def test_a_changed_network_makes_the_balances_due_that_deduct_its_losses(tmp_path):
    """For the days whose losses are computed anew, and no others; noted, so that a crash does not lose it."""
    site = street()
    site = attrs.evolve(
        site, transformers=(attrs.evolve(site.transformers[0], meter="T01-meter"), site.transformers[1]),
        balance_groups=(
            BalanceGroup("whole", Medium.ELECTRICITY, "", "T01", "T01-meter/energy_import", members=("P0", "P1", "P2")),
            BalanceGroup("house", Medium.ELECTRICITY, "", "T01", feed_point="P0", members=("P1",)),
        ),
    )
    longer = attrs.evolve(site, sections=tuple(attrs.evolve(one, length_m=one.length_m * 2) for one in site.sections))
    fitted = attrs.evolve(longer, transformers=(
        attrs.evolve(longer.transformers[0], form_alone=0.7, form_together=0.0, form_alike=0.4), longer.transformers[1]
    ))
    renamed = attrs.evolve(longer, transformers=(attrs.evolve(longer.transformers[0], title="x"), longer.transformers[1]))
    memory = Memory(tmp_path / "balancing.sqlite")
    memory.open()
    memory.adopt([Directory(site)], HOUR - 5000, HOUR)
    for name in ("whole", "house"):
        memory.computed([name], (0, HOUR))
    assert memory.touched == {}

    memory.adopt([Directory(longer), Directory(renamed)], HOUR - 5000, HOUR)
    memory.close()
    again = Memory(tmp_path / "balancing.sqlite")
    again.open()

    assert again.touched == {"whole": [(HOUR - LOOK_BACK_H, HOUR)]}
    again.adopt([Directory(renamed)], HOUR - 5000, HOUR)
    again.computed(["whole"], (0, HOUR))
    again.adopt([Directory(renamed)], HOUR - 5000, HOUR + 1)
    assert again.touched == {}
    again.adopt([Directory(fitted)], HOUR - 5000, HOUR + 1)                 # another form factor: other losses
    assert again.touched == {"whole": [(HOUR + 1 - LOOK_BACK_H, HOUR + 1)]}
    again.close()
