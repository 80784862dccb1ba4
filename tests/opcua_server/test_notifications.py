"""Deadbands against what was last reported, and the copy that is left out."""

import pytest
from asyncua import ua
from asyncua.server.monitored_item_service import MonitoredItemService, MonitoredItemValues

from scada.opcua_server import notifications

STALE = ua.StatusCode(ua.StatusCodes.BadNoCommunication)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install into asyncua, and take it out again afterwards."""
    monkeypatch.setattr(MonitoredItemValues, "set_current_datavalue", MonitoredItemValues.set_current_datavalue)
    monkeypatch.setattr(MonitoredItemService, "_is_deadband_exceeded", MonitoredItemService._is_deadband_exceeded)
    notifications.install()


def value(number: float | None, status: ua.StatusCode | None = None) -> ua.DataValue:
    variant = ua.Variant(number, ua.VariantType.Null if number is None else ua.VariantType.Double)
    return ua.DataValue(variant, status or ua.StatusCode())


def reported(deadband: float, *values: ua.DataValue) -> list[float | None]:
    """What a client with an absolute deadband hears of a series."""
    wanted = ua.DataChangeFilter()
    wanted.DeadbandType, wanted.DeadbandValue = ua.DeadbandType.Absolute, deadband
    service, kept, heard = MonitoredItemService.__new__(MonitoredItemService), MonitoredItemValues(), []
    for one in values:
        kept.set_current_datavalue(one)
        if service._is_deadband_exceeded(kept, wanted):
            heard.append(one.Value.Value)
    return heard


def test_a_slow_drift_is_reported_when_it_has_gone_far_enough() -> None:
    """2 to 12 in steps of 0.5 with a deadband of 1: asyncua itself reports only the first."""
    series = [value(2 + step * 0.5) for step in range(21)]

    assert reported(1.0, *series) == [2.0, 3.5, 5.0, 6.5, 8.0, 9.5, 11.0]


def test_a_value_that_goes_bad_and_comes_back_is_always_reported() -> None:
    """A status change passes every deadband, in both directions."""
    assert reported(100.0, value(1.0), value(None, STALE), value(1.0)) == [1.0, None, 1.0]


def test_a_float_is_kept_as_it_is_and_a_structure_is_copied() -> None:
    """Only what somebody could change afterwards needs a copy."""
    kept = MonitoredItemValues()
    plain, structure = value(1.0), ua.DataValue(ua.Variant([1.0], ua.VariantType.Double))
    kept.set_current_datavalue(plain)
    assert kept.current_dvalue is plain

    kept.set_current_datavalue(structure)
    assert kept.current_dvalue is not structure
    assert kept.old_dvalue is plain


@pytest.mark.parametrize(
    ("inner", "number"), [(1.5, 1.5), (2, 2.0), (True, None), ("x", None), (None, None), ([1.0], None)]
)
def test_only_numbers_have_a_distance(inner: object, number: float | None) -> None:
    """Text, arrays and truth values are reported on every change."""
    assert notifications.number_of(ua.DataValue(ua.Variant(inner))) == number
