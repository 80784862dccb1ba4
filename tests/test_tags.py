"""Quality and snapshots: what a value is worth survives every hop."""

import numpy as np
from asyncua import ua

from scada.tags import BAD, OPCUA_STATUS, QUALITY_OF_STATUS, UNCERTAIN, Quality, Snapshot, TagId


def test_every_quality_maps_to_one_status_code_and_back() -> None:
    """A quality that leaves through OPC UA can be told again on the other side."""
    there_and_back = {quality: QUALITY_OF_STATUS[OPCUA_STATUS[quality]] for quality in Quality}

    assert there_and_back == {quality: quality for quality in Quality}


def test_a_status_code_is_as_severe_as_its_quality() -> None:
    """Good stays good, uncertain uncertain and bad bad, by the two top bits of the code."""
    for quality, status in OPCUA_STATUS.items():
        severity = 2 if quality >= BAD else 1 if quality >= UNCERTAIN else 0

        assert status >> 30 == severity, quality.name


def test_the_status_codes_are_those_of_the_standard() -> None:
    """Held against the independent table of an OPC UA library."""
    names = {
        Quality.GOOD: "Good", Quality.GOOD_BACKFILL: "GoodEntryInserted", Quality.SUBSTITUTED: "GoodLocalOverride",
        Quality.UNCERTAIN_LAST_KNOWN: "UncertainLastUsableValue", Quality.UNCERTAIN_ESTIMATED: "UncertainSubstituteValue",
        Quality.BAD_WAITING: "BadWaitingForInitialData", Quality.BAD_STALE: "BadNoCommunication",
        Quality.BAD_NOT_CONNECTED: "BadNotConnected", Quality.BAD_OUT_OF_RANGE: "BadOutOfRange",
        Quality.BAD_SENSOR: "BadSensorFailure", Quality.BAD_CONFIG: "BadConfigurationError",
    }

    assert {quality: getattr(ua.StatusCodes, name) for quality, name in names.items()} == OPCUA_STATUS


def test_a_tag_younger_than_the_snapshot_is_unknown_to_it() -> None:
    """The index is shared and may have grown since; that must not be an error."""
    shot = Snapshot(
        ids=(TagId("T01/a"),), index={TagId("T01/a"): 0, TagId("T01/b"): 1}, values=np.array([1.0]),
        quality=np.array([0], dtype=np.uint8), at=np.array([5]), received=np.array([6]), taken=7,
    )

    assert shot.get("T01/a") == (1.0, Quality.GOOD, 5)
    assert shot.get("T01/b")[1] is Quality.BAD_CONFIG
    assert shot.get("no/such")[1] is Quality.BAD_CONFIG
