"""One tag's value as OPC UA says it: with its status, the source's time and ours."""

import math
from datetime import UTC, datetime, timedelta
from typing import Final

from asyncua import ua

from scada.tags import BAD, OPCUA_STATUS, Quality

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
STATUS: Final = {int(quality): ua.StatusCode(code) for quality, code in OPCUA_STATUS.items()}
NOTHING: Final = ua.Variant(None, ua.VariantType.Null)


def data_value(value: float, quality: int, source: datetime | None, server: datetime) -> ua.DataValue:
    """One value with its status; a missing value never arrives as a number.

    NaN with a quality that is not bad is a programming error upstream: it is served as BadConfigurationError.
    """
    if quality < BAD and math.isnan(value):
        quality = Quality.BAD_CONFIG
    variant = NOTHING if quality >= BAD else ua.Variant(value, ua.VariantType.Double)
    return ua.DataValue(variant, STATUS[quality], SourceTimestamp=source, ServerTimestamp=server)


def timestamp(ns: int) -> datetime | None:
    """Site time of a source [ns since 1970] as OPC UA shows it; None for "never"."""
    return EPOCH + timedelta(microseconds=ns // 1000) if ns > 0 else None


def missing(quality: Quality) -> ua.DataValue:
    """No value as of now, and why."""
    return ua.DataValue(NOTHING, STATUS[quality], ServerTimestamp=datetime.now(UTC))
