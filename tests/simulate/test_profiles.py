"""Measured profiles instead of made-up households: what is read, what is refused, and that energy follows the file."""

from pathlib import Path

import pytest

from scada.clock import HOUR_S, NS
from scada.errors import ConfigError
from scada.simulate.district import LoadKind
from scada.simulate.profiles import load_profiles
from scada.simulate.site import site_of
from scada.simulate.world import EPOCH_H, UJ_PER_KWH, World, make_world
from scada.site import Medium

START = EPOCH_H + 22                                    # local midnight


def write(folder: Path, profiles: str, loads: str) -> tuple[Path, Path]:
    (folder / "profiles.csv").write_text(profiles)
    (folder / "loads.csv").write_text(loads)
    return folder / "profiles.csv", folder / "loads.csv"


def a_day(customers: int = 4, columns: int = 6) -> tuple[str, str]:
    """Files in the layout of the European LV test feeder: more columns than are used, other columns beside."""
    header = "minute," + ",".join(f"p{n}" for n in range(1, columns + 1))
    def kilowatts(minute: int, column: int) -> float:
        return 0.1 * column + (1.5 if minute % 100 < 20 * (column % 3) else 0)

    rows = [
        f"{minute}," + ",".join(f"{kilowatts(minute, column):.3f}" for column in range(1, columns + 1))
        for minute in range(1, 1441)
    ]
    loads = [
        f"LOAD{n},{n + 30},{'ABC'[n % 3]},0.23,1.0,0.95,{columns + 1 - n}" for n in range(1, customers + 1)
    ]
    return (
        "\n".join([header, *rows]) + "\n",
        "\n".join(["name,bus,phase,kv_phase,base_kw,pf_lagging,profile", *loads]) + "\n",
    )


def test_each_customer_gets_his_column_and_phase(tmp_path: Path) -> None:
    """profile n is column pn; A, B, C are L1, L2, L3; kW become W."""
    day = load_profiles(*write(tmp_path, *a_day()))

    assert [(one.name, one.phases) for one in day.customers] == [
        ("LOAD1", "L2"), ("LOAD2", "L3"), ("LOAD3", "L1"), ("LOAD4", "L2")
    ]
    assert day.watts.shape == (4, 1440)
    assert day.watts[0, 1439] == pytest.approx(600)


def test_a_day_of_the_files_energy_is_metered_and_repeated(tmp_path: Path) -> None:
    """Over two days every customer uses twice the energy of his column, on his phase."""
    day = load_profiles(*write(tmp_path, *a_day()))
    world = make_world(1, START, day)
    world.advance((START + 48) * HOUR_S * NS)
    names = [one.name for one in world.district.consumers]
    used = [world.used_uj[names.index(one.name)] / UJ_PER_KWH for one in day.customers]

    assert used == pytest.approx(list(2 * day.watts.sum(axis=1) / 60_000), rel=1e-6)


def test_electricity_is_only_that_of_the_file_and_the_other_modules_remain(tmp_path: Path) -> None:
    """120 modules as ever; the ones the file does not need carry water and gas."""
    day = load_profiles(*write(tmp_path, *a_day(customers=55, columns=60)))
    district = make_world(1, START, day).district
    media = [channel.medium for module in district.modules for channel in module.channels]

    assert media.count(Medium.ELECTRICITY) == 55
    assert len(district.modules) == 120
    assert Medium.WATER in media
    assert Medium.GAS in media
    assert {point.consumer for point in site_of(district).points if point.medium is Medium.ELECTRICITY} == {
        f"LOAD{n}" for n in range(1, 56)
    }


def test_what_is_shed_from_a_profile_is_wanted_later(tmp_path: Path) -> None:
    """A boiler's share of the profile disappears while it is off and is caught up with afterwards."""
    day = load_profiles(*write(tmp_path, *a_day(customers=8, columns=10)))
    shed, free = make_world(1, START, day), make_world(1, START, day)
    boilers = [m for m in shed.district.modules if m.actuator and m.actuator.kind is LoadKind.BOILER]

    def both(hours: float) -> float:
        for world in (shed, free):
            world.advance(round((START + hours) * HOUR_S * NS))
        return float(free.used_uj.sum() - shed.used_uj.sum()) / UJ_PER_KWH

    for module in boilers:
        shed.switch(module.eui, False)
    missing = both(0.5)
    for module in boilers:
        shed.switch(module.eui, True)

    assert missing > 0.2
    assert both(12) < 0.05 * missing


def test_a_few_customers_are_enough(tmp_path: Path) -> None:
    """One customer makes a district: thief and leak are found somewhere."""
    day = load_profiles(*write(tmp_path, *a_day(customers=1)))
    world: World = make_world(1, START, day)

    assert world.district.thief.name == "LOAD1"
    assert world.district.leaking.leak_l_per_h == 15


def problems_of(folder: Path, profiles: str, loads: str) -> list[tuple[str, str, int | None]]:
    with pytest.raises(ConfigError) as refused:
        load_profiles(*write(folder, profiles, loads))
    return [(Path(one.where).name, one.key, one.line) for one in refused.value.problems]


def test_every_error_of_both_files_is_named_at_once(tmp_path: Path) -> None:
    """A value that is no number, one below zero, a minute out of order, a phase D, a column nobody has, a name twice."""
    profiles, loads = a_day()
    lines = profiles.splitlines()
    lines[5] = lines[5].replace("0.300", "much", 1)
    lines[6] = lines[6].replace("0.300", "-0.3", 1)
    lines[8] = "99" + lines[8][1:]
    rows = loads.splitlines()
    rows[1] = rows[1].replace(",A,", ",D,").replace(",B,", ",D,")
    rows[2] = rows[2][: rows[2].rfind(",")] + ",77"
    rows[4] = rows[4].replace("LOAD4", "LOAD3")
    found = problems_of(tmp_path, "\n".join(lines), "\n".join(rows))

    assert {("loads.csv", "phase", 2), ("loads.csv", "profile", 3), ("loads.csv", "name", 5)} <= set(found)
    assert ("profiles.csv", "minute", 9) in found
    assert sum(name == "profiles.csv" for name, _, _ in found) == 3


@pytest.mark.parametrize(
    ("profiles", "loads", "expected"),
    [
        ("minute,p1\n1,0.1\n2,0.1,9\n", "name,phase,profile\nX,A,1\n", ("profiles.csv", "", 3)),
        ("time,p1\n1,0.1\n", "name,phase,profile\nX,A,1\n", ("profiles.csv", "minute", 1)),
        ("minute,p1\n1,0.1\n", "name,profile\nX,1\n", ("loads.csv", "phase", 1)),
        ("minute,p1\n1,0.1\n", "name,phase,profile\n", ("loads.csv", "", None)),
        ("minute,p1\n" + "".join(f"{n},0.1\n" for n in range(1, 8)), "name,phase,profile\nX,A,1\n",
         ("profiles.csv", "minute", None)),
        ("minute,p1\n1,5000\n", "name,phase,profile\nX,A,1\n", ("profiles.csv", "p1", 2)),
    ],
    ids=["ragged", "no minute", "no phase", "nobody", "not a day", "watts for kilowatts"],
)
def test_a_file_that_is_not_in_the_layout_is_refused(
    tmp_path: Path, profiles: str, loads: str, expected: tuple[str, str, int | None]
) -> None:
    """Each names its file, column and line."""
    assert expected in problems_of(tmp_path, profiles, loads)


def test_files_that_are_not_there_are_both_named(tmp_path: Path) -> None:
    """One run shows every missing file."""
    with pytest.raises(ConfigError) as refused:
        load_profiles(tmp_path / "a.csv", tmp_path / "b.csv")

    assert [Path(one.where).name for one in refused.value.problems] == ["a.csv", "b.csv"]
