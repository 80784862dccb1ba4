"""What a field device noticed: the raw material of alarms. Raised and cleared come as a pair of one code.

And events as history keeps them, whoever said them: a device, or an alarm that changed.
"""

import re
from enum import IntEnum, StrEnum
from typing import Final

import attrs

_CHANNEL: Final = re.compile(r"\.ch\d+$")


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
    UNEXPECTED_CHANNEL = 22             # a meter without a channel, or a channel that counts without a meter
    MODULE_GONE_HEARD = 23              # replaced or retired, and heard all the same
    CLOCK_SET = 24                      # made by the server: it stepped a concentrator's clock
    CLOCK_SET_BACK = 25                 # the same, back over hours that are stored


OF_MODULES: Final = frozenset(          # kinds of what holds at a module until it, or its concentrator for it, ends it
    code.name.lower() for code in EventCode if code < EventCode.CONCENTRATOR_RESTARTED
)


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


class Stream(StrEnum):
    """Who says it. Both may speak of one condition: the device's edge, and what became of its alarm."""

    DEVICE = "device"                   # the field, or the driver that watches it; state "raised" or "cleared"
    ALARM = "alarm"                     # the alarm book: a change of state, by whatever or by whomever


@attrs.frozen
class KeptEvent:
    """One event of a series (stream, source, kind, state); known by its series, sequence and `at`."""

    stream: Stream
    source: str                         # device, "DEVICE.chN", or tag id of a limit
    kind: str                           # "magnet", "power_down", "high" …; "event_77" for a code nobody knows
    state: str                          # "raised", "cleared"; of an alarm its new `AlarmState`
    sequence: int                       # the sender's number; of an alarm the instant of its change
    at: int                             # ns, the sender's clock
    time_good: bool                     # whether the sender trusted it
    received: int                       # ns, ours
    severity: str = ""                  # "high", "medium", "low"
    value: float | None = None          # of a limit: what was measured
    limit: float | None = None
    unit: str = ""
    text: str = ""                      # a sentence, where the kind does not say it all
    by: str = ""                        # who acknowledged
    number: int = 0                     # place in the store; 0: not from there

    @property
    def device(self) -> str:
        return device_of(self.source)

    @property
    def moment(self) -> int:
        """When it happened as far as anybody knows: by the sender's clock if that is good, else when it came. [ns]"""
        return self.at if self.time_good else self.received


def kind_of(code: int) -> str:
    """The kind of a device event; an unknown code keeps its number, so that two of them stay two alarms."""
    try:
        return EventCode(code).name.lower()
    except ValueError:
        return f"event_{code}"


def source_of(event: DeviceEvent) -> str:
    """The device, or the channel of it that the event speaks of."""
    return event.device if event.channel is None else f"{event.device}.ch{event.channel}"


def device_of(source: str) -> str:
    """The device that a source is, or is a tag or channel of."""
    return _CHANNEL.sub("", source.partition("/")[0])
