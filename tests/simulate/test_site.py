"""The site file of the simulated district: what the registry reads from it is what was meant."""

from pathlib import Path

import pytest

from scada.commands import LoadClass
from scada.registry import exchange
from scada.registry.draft import put_into
from scada.simulate.district import Customer, make_district
from scada.simulate.site import INSTALLED_H, site_of
from scada.simulate.world import EPOCH_H
from scada.site import Adoption, Directory, Medium, Site

CUSTOMERS = tuple(Customer(f"LOAD{n}", f"L{n % 3 + 1}") for n in range(1, 56))


@pytest.mark.parametrize("customers", [(), CUSTOMERS], ids=["flats", "from a loads file"])
def test_the_registry_reads_the_site_file_back_exactly(tmp_path: Path, customers: tuple[Customer, ...]) -> None:
    """Written, read and checked by the registry's own import: the same values and nothing to complain about."""
    site = site_of(make_district(1, customers))
    exchange.write(site, tmp_path / "site.yaml")
    outcome = put_into(exchange.read(tmp_path / "site.yaml"), Site())

    for kind in ("transformers", "concentrators", "modules", "consumers", "points", "meters", "loads", "load_groups",
                 "balance_groups", "feeders", "linecodes", "sections"):
        assert set(getattr(outcome.site, kind)) == set(getattr(site, kind)), kind


def test_three_modules_are_left_to_be_discovered() -> None:
    """C02 has 57 of its 60 modules in the file, and an engineer adopts there; C01 adopts by itself."""
    site = site_of(make_district(1))
    of = {one.name: sum(module.concentrator == one.name for module in site.modules) for one in site.concentrators}

    assert of == {"C01": 60, "C02": 57}
    assert [one.adoption for one in site.concentrators] == [Adoption.AUTOMATIC, Adoption.ENGINEER]


def test_the_mixed_group_holds_what_the_desk_must_refuse() -> None:
    """A red load, one marked NEVER and one of a protected consumer stand beside boilers that may be shed."""
    directory = Directory(site_of(make_district(1)))
    loads = [directory.load_of_eui[eui] for eui in directory.load_group["LG-MIXED"].members]

    assert any(load.load_class is LoadClass.RED for load in loads)
    assert any(load.never for load in loads)
    assert any(directory.consumer[load.consumer].protected for load in loads)
    assert any(
        load.load_class is LoadClass.YELLOW and not load.never and not directory.consumer[load.consumer].protected
        for load in loads
    )


@pytest.mark.parametrize("group", ["LG-BOILERS", "LG-EV", "LG-AC"])
def test_every_other_group_can_be_shed_whole(group: str) -> None:
    """One class, nothing red, nothing protected, at least eight members."""
    directory = Directory(site_of(make_district(1)))
    found = directory.load_group[group]
    loads = [directory.load_of_eui[eui] for eui in found.members]

    assert len(loads) >= 8
    assert {load.load_class for load in loads} == {found.load_class}
    assert not any(load.never or directory.consumer[load.consumer].protected for load in loads)


def test_every_metering_point_has_a_meter_from_long_before_the_start() -> None:
    """Constants are known for every hour that is simulated; every registered channel has its point."""
    site = site_of(make_district(1))
    channels = sum(module.channels for module in site.modules)

    assert {one.point for one in site.meters} == {one.name for one in site.points}
    assert len(site.meters) == channels
    assert all(one.valid_from == INSTALLED_H < EPOCH_H for one in site.meters)


def test_the_balance_of_the_transformer_has_every_electricity_meter() -> None:
    """Feed from the Modbus meter's energy register; members are all points of electricity."""
    directory = Directory(site_of(make_district(1)))
    group = directory.balance_group["BG-T01"]

    assert group.feed_tag == "T01-meter/energy_import"
    assert set(group.members) == {one.name for one in directory.site.points if one.medium is Medium.ELECTRICITY}
    assert directory.balance_group["BG-B1-WATER"].feed_point in directory.point


def test_a_larger_district_is_one_site_that_the_registry_takes(tmp_path: Path) -> None:
    """Twelve buildings: a concentrator and a feeder each, strangers in the second only, a transformer that carries them."""
    site = site_of(make_district(1, buildings=12, modules=100))
    exchange.write(site, tmp_path / "site.yaml")
    outcome = put_into(exchange.read(tmp_path / "site.yaml"), Site())

    assert set(outcome.site.modules) == set(site.modules)
    assert len(site.concentrators) == len(site.feeders) == 12
    assert len(site.modules) == 12 * 100 - 3
    assert [one.name for one in site.concentrators if one.adoption is Adoption.ENGINEER] == ["C02"]
    assert len({one.eui for one in site.modules}) == len(site.modules)
    assert site.transformers[0].rated_kva == 1600.0


@pytest.mark.parametrize(("buildings", "modules"), [(1, 60), (41, 60), (2, 59), (2, 241), (11, 240)])
def test_a_district_has_bounds(buildings: int, modules: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        make_district(1, buildings=buildings, modules=modules)
