"""Meters that are suspected of losing, in the reckoning of what replacing them gains: whose case it is."""

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from scada.balancing.recalibrating import gathered
from scada.cases import Case, CaseState, Suspicion
from scada.site import Directory, Medium, MeterPeriod, Point, Site

ZONE = ZoneInfo("Europe/Bucharest")


def hour(day: str) -> int:
    """The site midnight before a day of winter: 22 o'clock UTC."""
    return (date.fromisoformat(day).toordinal() - date(1970, 1, 1).toordinal()) * 24 - 2


def case(since: str, missing: float = 100.0, seen: str = "2026-01-20", number: int = 1) -> Case:
    found = Suspicion(
        "G", "P", True, "faulty_meter", "slow", "kWh", missing, 5.0, 0.3, 20.0, since, "2026-01-01",
        (10.0,) * 20, (8.0,) * 20, (5.0,) * 20,
    )
    return Case(number, CaseState.CONFIRMED, seen, seen, found)


def suspected(*cases: Case, exchanged: str = "2026-01-12") -> float:
    site = Site(points=(Point("P", Medium.ELECTRICITY),), meters=(
        MeterPeriod("OLD", "P", 1, 0, 1000.0, hour("2018-01-01"), hour(exchanged)),
        MeterPeriod("NEW", "P", 2, 0, 1000.0, hour(exchanged)),
    ))
    base = gathered(
        Directory(site), lambda points, at: np.full(len(points), 0.3 * at), hour("2026-02-20"), "2026-02-20", cases,
        zone=ZONE,
    )
    assert base is not None
    return float(base.suspect[0])


@pytest.mark.parametrize(("since", "counts"), [("2026-01-01", False), ("2026-01-11", False), ("2026-01-12", True)])
def test_a_case_from_before_the_exchange_is_not_the_new_meters(since: str, counts: bool) -> None:
    """It hung at another meter; what began on the day of the exchange or later is this one's own. Days are the site's."""
    assert np.isfinite(suspected(case(since))) is np.bool_(counts)


def test_of_two_cases_of_a_meter_the_newest_counts() -> None:
    """As the book gives them: the newest first."""
    found = suspected(case("2026-01-15", 80.0, "2026-02-15", 2), case("2026-01-12", 20.0), exchanged="2025-12-01")

    assert found == pytest.approx(80.0 / (6 * 8.0))
