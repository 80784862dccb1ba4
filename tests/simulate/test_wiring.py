"""The district's low-voltage network: the registry has it, and what is lost in it is what the server computes."""

from pathlib import Path

import attrs
import numpy as np
import pytest
from numpy.typing import NDArray

from scada.balancing.network import DEFAULTS, Network, feeder, losses, networks, powers, solve
from scada.clock import HOUR_S, NS
from scada.registry import exchange
from scada.registry.draft import put_into
from scada.simulate.district import Customer, District, make_district
from scada.simulate.site import site_of
from scada.simulate.wiring import IRON_W, METERING_W, Lines, wiring_of
from scada.simulate.world import EPOCH_H, UJ_PER_KWH, make_world
from scada.site import Directory, Medium
from tests.simulate.test_site import CUSTOMERS

START = EPOCH_H + 24 * 30


def network(district: District) -> tuple[Network, list[int]]:
    """What the server makes of the site file, and which consumer each of its points is."""
    directory = Directory(site_of(district))
    found = networks(directory)
    assert not found.problems
    assert not found.remarks
    place = {one.name: number for number, one in enumerate(district.consumers)}
    one = found.networks[district.transformer]
    return one, [place[directory.point[name].consumer] for name in one.points]


def computed(district: District, watts: NDArray[np.float64], minutes: int = 0) -> NDArray[np.float64]:
    """The server's losses, (h,), of consumers' power, (h, consumers); of means over `minutes` with the form factor. [W]"""
    of, place = network(district)
    model = feeder(of)
    return losses(model, solve(model, powers(of, watts[:, place])), DEFAULTS[minutes] if minutes else None).total


@pytest.mark.parametrize(
    "customers", [(), CUSTOMERS, (Customer("X", "L2"),)], ids=["flats", "from a loads file", "one customer"]
)
def test_the_server_takes_the_network_and_every_point_of_electricity_hangs_in_it(customers: tuple[Customer, ...]) -> None:
    """Nothing wrong, nothing left out, all fed from the transformer; two feeders; the same district has the same."""
    district = make_district(1, customers)
    of, _ = network(district)
    site = site_of(district)

    assert set(of.points) == {one.name for one in site.points if one.medium is Medium.ELECTRICITY}
    assert of.nodes[of.root] == "T01"
    assert len(of.sections) == 2 * (1 + 3 * 5)
    assert {one.feeder for one in site.sections} == {"F1", "F2"}
    assert wiring_of(district) == wiring_of(make_district(1, customers))


def test_what_the_simulator_loses_at_any_moment_is_what_the_servers_power_flow_says() -> None:
    """Half a day of moments, the peak of a cold start too: within 2 % each, 0.5 % in all; idle: iron and metering."""
    world, moments = make_world(1, START), []
    for minute in range(0, 720, 5):
        world.advance((START * HOUR_S + minute * 60) * NS)
        moments.append((world.consumer_w, world.transformer().active.sum() - world.consumer_w.sum()))
    lost = np.array([one for _, one in moments])
    of_power_flow = computed(world.district, np.array([watts for watts, _ in moments])) + METERING_W

    assert lost.max() > 2 * lost.min() > 2 * (IRON_W + METERING_W)
    assert lost == pytest.approx(of_power_flow, rel=0.02)
    assert lost.sum() == pytest.approx(of_power_flow.sum(), rel=0.005)
    of = Lines(world.district, world.district.consumers, phases_of(world.district))
    idle = of.losses(np.zeros(len(world.consumer_w)))
    assert idle.sum() == pytest.approx(IRON_W + METERING_W)


def test_what_a_balance_deducts_leaves_a_day_of_theft_and_little_else() -> None:
    """From hourly means the server computes the day's loss within a tenth, with the form factor of hours."""
    world, hours = make_world(1, START), []
    for hour in range(25):
        world.advance((START + hour) * HOUR_S * NS)
        hours.append(world.used_uj.copy())
    used = np.diff(np.array(hours), axis=0) / UJ_PER_KWH * 1000
    lost = world.lost_uj / UJ_PER_KWH - 24 * METERING_W / 1000

    assert computed(world.district, used, minutes=60).sum() / 1000 == pytest.approx(lost, rel=0.1)


def phases_of(district: District) -> NDArray[np.float64]:
    """How a consumer's power is spread, (consumers, 3)."""
    share = np.array([[phase in one.phases for phase in ("L1", "L2", "L3")] for one in district.consumers], np.float64)
    return np.asarray(share / np.maximum(share.sum(axis=1, keepdims=True), 1.0))


@pytest.mark.parametrize("watts", [1e3, 1e5, 1e6])
def test_no_phase_runs_backwards_whatever_a_loads_file_asks_for(watts: float) -> None:
    """Dozens on one phase, one on another with little: the neutral may relieve that one, and no register falls."""
    district = make_district(1, tuple(Customer(f"X{n}", "L1" if n else "L2") for n in range(60)))
    drawn = np.array([(1e4 if one.name == "X0" else watts) if one.phases else 0.0 for one in district.consumers])
    share = phases_of(district)
    lost = Lines(district, district.consumers, share).losses(drawn)

    assert lost[0] > 0
    assert (drawn @ share + lost >= 0).all()


def test_a_field_of_before_it_had_a_network_is_taken_up_again() -> None:
    """What tells one district from another is what it was, and lines have nothing to remember."""
    world = make_world(1, START)

    assert world.identity == "fc5cb233d9e4483e"
    assert world.memory().keys() == {
        "start_hour", "at_ms", "random", "households", "flows", "supplied", "allowed", "registers", "remainder",
        "hour_registers", "transformer_uj", "used_uj", "lost_uj", "cut",
    }


def test_the_registry_of_a_demo_without_a_network_is_given_one_by_an_import(tmp_path: Path) -> None:
    """The new site file over what an older version wrote: lines and nodes come, and all else is what it was."""
    site = site_of(make_district(1))
    old = attrs.evolve(
        site, linecodes=(), sections=(),
        transformers=tuple(attrs.evolve(one, uk_percent=None, load_loss_kw=None, no_load_loss_kw=None) for one in
                           site.transformers),
        points=tuple(attrs.evolve(one, node="", power_factor=1.0) for one in site.points),
    )
    exchange.write(site, tmp_path / "site.yaml")
    new = put_into(exchange.read(tmp_path / "site.yaml"), old).site

    assert not networks(Directory(old)).networks
    assert networks(Directory(new)).networks.keys() == {"T01"}
    assert (new.modules, new.meters, set(new.consumers)) == (old.modules, old.meters, set(old.consumers))
