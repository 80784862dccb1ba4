"""Numbers of DMLP that stand on the wire and are never reused (docs/dmlp.md holds the same, and a test compares)."""

from enum import IntEnum, IntFlag
from typing import Final

MAX_MODULES: Final = 240                # per subnet; indices are 1-240
MAX_CHANNELS: Final = 6                 # per module
BITMAP: Final = 30                      # bytes of a module set


class Type(IntEnum):
    """Message types in use. What is planned in the ranges between is listed in docs/dmlp.md."""

    HELLO = 0x01
    CHALLENGE = 0x02
    AUTH = 0x03
    READY = 0x04
    CLOSE = 0x05
    PING = 0x06
    PONG = 0x07
    ERROR = 0x08
    RESULT = 0x0A
    TIME_SET = 0x10
    GET_INFO = 0x18
    INFO = 0x19
    ARCH_STATUS = 0x20
    ARCH_READ = 0x21
    PROFILE = 0x23
    SAMPLES = 0x24
    ARCH_ACK = 0x25
    EVENT = 0x30
    EVENT_ACK = 0x31
    MODULE_JOINED = 0x38
    GET_MODULES = 0x39
    MODULE_LIST = 0x3A
    GROUP_SET = 0x41
    GROUP_COMMAND = 0x42
    COMMAND_CANCEL = 0x43
    COMMAND_REPORT = 0x44
    COMMAND_STATUS = 0x45
    TOPOLOGY = 0x50
    LINK_STATS = 0x51
    GET_TOPOLOGY = 0x52
    KEY_PUT = 0x60
    KEY_CONFIRM = 0x61


HANDSHAKE: Final = frozenset({Type.HELLO, Type.CHALLENGE, Type.AUTH, Type.CLOSE})     # these may travel in plain

# With a corr other than 0 these are answers; everything else with a corr is a request.
ANSWERS: Final = frozenset(
    {Type.PONG, Type.ERROR, Type.RESULT, Type.INFO, Type.PROFILE, Type.MODULE_LIST, Type.TOPOLOGY, Type.KEY_CONFIRM}
)


class Code(IntEnum):
    """What became of a request."""

    OK = 0
    ACCEPTED = 1
    BUSY = 2
    BAD_ARGUMENT = 3
    UNKNOWN = 4
    DENIED = 5
    EXPIRED = 6
    INTERLOCK = 7
    NO_ROUTE = 8
    TIMEOUT = 9
    DUPLICATE = 10
    NO_SPACE = 11
    CRYPTO = 12


def code_name(code: int) -> str:
    """The name of a result code, or its number where a later version sent it."""
    return Code(code).name if code in Code._value2member_map_ else f"CODE_{code}"


class Reason(IntEnum):
    """Why a connection is closed."""

    NORMAL = 0
    VERSION = 1
    UNKNOWN_LINK = 2
    BAD_KEY = 3
    REPLACED = 4                        # the same concentrator proved itself on a newer connection
    FULL = 5                            # too many connections
    TIMEOUT = 6                         # the handshake took too long, or the peer fell silent
    PROTOCOL = 7                        # what came was not DMLP, or not in this order
    STORAGE = 8                         # the server cannot store anything at present
    SHUTDOWN = 9


class Capability(IntFlag):
    """What a concentrator can do (HELLO)."""

    GROUP_COMMANDS = 1
    LINK_STATS = 2
    SAMPLES = 4
    INFO = 8


class ClockMode(IntEnum):
    STEP = 0
    SLEW = 1


class KeyTarget(IntEnum):
    """Whose key a KEY_PUT carries."""

    LINK = 0
    MODULE = 1
    GROUP = 2


class Sensor(IntEnum):
    """Quantities of SAMPLES."""

    TEMPERATURE = 1
    VOLTAGE = 2
    HUMIDITY = 3


UNIT_OF_SENSOR: Final = {Sensor.TEMPERATURE: "°C", Sensor.VOLTAGE: "V", Sensor.HUMIDITY: "%"}
