"""What a field device noticed: the raw material of alarms. Raised and cleared come as a pair of one code."""

from enum import IntEnum

import attrs


class EventCode(IntEnum):
    """Codes of EVENT (docs/dmlp.md); the number is on the wire and never reused."""

    OPEN_CIRCUIT = 1
    SHORT_CIRCUIT = 2
    MAGNET = 3
    COVER_OPEN = 4
    BATTERY_LOW = 5
    POWER_DOWN = 6
    CLOCK_STEPPED = 7
    MODULE_LOST = 8
    ACTUATOR_FAULT = 9
    CONCENTRATOR_RESTARTED = 16
    ARCHIVE_FULL = 17
    LINK_REPLACED = 18                  # made by the server: a second connection proved the key of the first
    HOURS_GIVEN_UP = 19                 # made by the server: a day is beyond the archive, with hours missing
    WRONG_SUBNET = 20                   # made by the server, like the following: heard at another concentrator
    DUPLICATE_EUI = 21                  # two concentrators list it at once
    UNEXPECTED_CHANNEL = 22             # a meter hangs on a channel that the module has not
    MODULE_GONE_HEARD = 23              # replaced or retired, and heard all the same
    CLOCK_SET = 24                      # made by the server: it stepped a concentrator's clock
    CLOCK_SET_BACK = 25                 # the same, back over hours that are stored


@attrs.frozen
class DeviceEvent:
    """One edge of one condition."""

    device: str                         # device name on the bus ("C01-017") or, if unknown, the EUI in hex
    code: int                           # `EventCode`; an unknown number is kept as it is
    raised: bool                        # False: the condition ended
    at: int                             # ns, the device's clock
    time_good: bool                     # whether the device trusted its clock
    sequence: int                       # the sender's number, for idempotency
    channel: int | None = None
    received: int = 0                   # ns, ours
    detail: str = ""                    # a sentence that names both sides, where there are two
