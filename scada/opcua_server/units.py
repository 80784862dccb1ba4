"""Units as OPC UA wants them: the UN/CEFACT common code of each symbol the site uses, as EUInformation's UnitId.

Source of the codes: UNECE Recommendation 20, "Codes for Units of Measure Used in International Trade". OPC 10000-8
makes the number from the code (EUInformation, "UNECE"): the ASCII characters of the code as one big-endian integer.
"""

from typing import Final

NAMESPACE: Final = "http://www.opcfoundation.org/UA/units/un/cefact"
NO_CODE: Final = -1                     # OPC 10000-8: a unit that has no code

# symbol -> (common code, description)
CEFACT: Final[dict[str, tuple[str, str]]] = {
    "V": ("VLT", "volt"),
    "mV": ("2Z", "millivolt"),
    "A": ("AMP", "ampere"),
    "W": ("WTT", "watt"),
    "kW": ("KWT", "kilowatt"),
    "VA": ("D46", "volt - ampere"),
    "kVA": ("KVA", "kilovolt - ampere"),
    "var": ("D44", "var"),
    "kvar": ("KVR", "kilovar"),
    "Wh": ("WHR", "watt hour"),
    "kWh": ("KWH", "kilowatt hour"),
    "m³": ("MTQ", "cubic metre"),
    "m³/h": ("MQH", "cubic metre per hour"),
    "l": ("LTR", "litre"),
    "Hz": ("HTZ", "hertz"),
    "%": ("P1", "percent"),
    "°C": ("CEL", "degree Celsius"),
    "°": ("DD", "degree [unit of angle]"),
    "ms": ("C26", "millisecond"),
    "s": ("SEC", "second [unit of time]"),
    "min": ("MIN", "minute [unit of time]"),
    "h": ("HUR", "hour"),
    "d": ("DAY", "day"),
    "MB": ("4L", "megabyte"),
}


def unit_id(symbol: str) -> int:
    """EUInformation.UnitId of a unit symbol; `NO_CODE` where UN/CEFACT has none that we know."""
    entry = CEFACT.get(symbol)
    return NO_CODE if entry is None else int.from_bytes(entry[0].encode("ascii"), "big")


def description(symbol: str) -> str:
    entry = CEFACT.get(symbol)
    return symbol if entry is None else entry[1]
