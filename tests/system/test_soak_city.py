"""The city, by `make soak`: 1,400 concentrators deliver a day, 14,000 hold a session, and what arrived is read back equal.

A figure is written down, not judged: machines differ. What is judged is that nothing is missing.
"""

from importlib import import_module

import pytest

from scada.bench import Figure

from .soak import Soak

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("name", ["ingest", "sessions"])
def test_a_city_is_served_whole(name: str) -> None:
    """The measurement raises where a reading that was acknowledged is not what is stored."""
    with Soak(f"city: {name}") as soak:
        figures: list[Figure] = import_module(f"scada.bench.dmesh.{name}").measure()
        soak.found |= {one.id: {"value": one.value, "unit": one.unit} for one in figures}

        assert all(one.value >= 0 for one in figures)
