"""A day of real consumers, from files as the IEEE European LV test feeder lays them out, through the whole server.

The files themselves are not ours to ship: a day of their size and layout is always made up and run; the real ones
are run too when SCADA_TEST_LV_DATA names the folder they lie in.
"""

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from scada.historian.service import open_reader
from scada.intervals import MISSING
from scada.simulate.district import make_district
from scada.simulate.profiles import load_profiles
from scada.simulate.truth import read_truth
from scada.site import Medium

from .harness import Site, wait_for
from .test_nothing_lost import everything_acknowledged, slots_of

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
PROFILES, LOADS = "profiles_1min_kw.csv", "loads.csv"
CONSUMERS, COLUMNS, MINUTES = 55, 100, 1440
REAL: Final = os.environ.get("SCADA_TEST_LV_DATA", "")


def make_up(folder: Path) -> Path:
    """Files in exactly that layout and size: p1 … p100 of kW by minute from 1; name, bus, phase A-C, …, profile."""
    rng = np.random.default_rng(55)
    base = rng.uniform(0.03, 0.1, COLUMNS)
    kilowatts = base + (rng.random((MINUTES, COLUMNS)) < 0.06) * rng.uniform(0.5, 6.0, (MINUTES, COLUMNS))
    with (folder / PROFILES).open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["minute", *(f"p{number}" for number in range(1, COLUMNS + 1))])
        out.writerows([minute, *(f"{one:.3f}" for one in row)] for minute, row in enumerate(kilowatts.tolist(), start=1))
    with (folder / LOADS).open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["name", "bus", "phase", "kv_phase", "base_kw", "pf_lagging", "profile"])
        buses = sorted(rng.choice(np.arange(30, 907), CONSUMERS, replace=False).tolist())
        out.writerows(
            [f"LOAD{n}", bus, rng.choice(list("ABC")), 0.23, 1.0, 0.95, n] for n, bus in enumerate(buses, start=1)
        )
    return folder


def file_sums(folder: Path) -> dict[str, float]:
    """kWh of a day by consumer, read by the standard library alone."""
    with (folder / PROFILES).open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    with (folder / LOADS).open(newline="", encoding="utf-8-sig") as file:
        column = {row["name"]: "p" + row["profile"] for row in csv.DictReader(file)}
    assert (len(rows), len(rows[0]), len(column)) == (MINUTES, 1 + COLUMNS, CONSUMERS)
    return {name: sum(float(row[wanted]) for row in rows) / 60 for name, wanted in column.items()}


@pytest.mark.parametrize("real", ["", REAL] if REAL else [""], ids=["made up", "real"] if REAL else ["made up"])
def test_after_a_site_day_every_register_has_grown_by_its_column(
    make_site: Callable[..., Site], tmp_path: Path, real: str
) -> None:
    """55 consumers, 24 hours, within two pulses; the thief's register by sixty percent of his column."""
    folder = Path(real) if real else make_up(tmp_path)
    site = make_site(speed=600.0, field=(
        "--profiles", str(folder / PROFILES), "--loads", str(folder / LOADS), "--history", "26",
    )).start()
    wait_for(lambda: everything_acknowledged(site), "the day to be acknowledged", limit=90)
    assert site.field is not None
    assert site.server is not None
    site.field.stop()
    site.server.stop()
    district = make_district(1, load_profiles(folder / PROFILES, folder / LOADS).customers)
    meters = {
        (module.eui, number): channel for module in district.modules for number, channel in enumerate(module.channels)
        if channel.medium is Medium.ELECTRICITY
    }
    first = min(hour for eui, _, hour in read_truth(site.truth_file).acknowledged() if eui == district.modules[0].eui)
    reader = open_reader(site.folder / "data" / "history")
    slots = slots_of(reader, list(meters))
    counts = reader.intervals.read(slots, first, 24).counts
    grown = reader.intervals.register(slots, first + 24) - reader.intervals.register(slots, first)
    reader.close()
    sums = file_sums(folder)
    expected = np.array([
        sums[one.consumer] * one.pulses_per_unit * (0.6 if one.consumer == district.thief.name else 1.0)
        for one in meters.values()
    ])

    assert len(meters) == CONSUMERS
    assert (counts != MISSING).all()
    assert np.abs(grown - expected).max() <= 2
    assert grown.tolist() == counts.sum(axis=1).tolist()
