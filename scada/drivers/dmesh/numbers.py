"""Numbers of DMLP that stand on the wire and are never reused (docs/dmlp.md holds the same, and a test compares)."""

from enum import IntEnum, IntFlag
from typing import Final

MAX_MODULES: Final = 240                # per subnet; indices are 1-240
MAX_CHANNELS: Final = 6                 # per module
BITMAP: Final = 30                      # bytes of a module set


class Type(IntEnum):
    """Message types; what is free in the ranges between is kept for later versions."""

    HELLO = 0x01
    CHALLENGE = 0x02
    AUTH = 0x03
    READY = 0x04
    CLOSE = 0x05
    PING = 0x06
    PONG = 0x07
    ERROR = 0x08
    WAKE = 0x09
    RESULT = 0x0A
    TIME_SET = 0x10
    GET_INFO = 0x18
    INFO = 0x19
    GET_PARAM = 0x1A
    SET_PARAM = 0x1B
    REBOOT = 0x1C
    PARAM = 0x1D
    ARCH_STATUS = 0x20
    ARCH_READ = 0x21
    PROFILE = 0x23
    SAMPLES = 0x24
    ARCH_ACK = 0x25
    READ_NOW = 0x28
    READ_RESULT = 0x29
    EVENT = 0x30
    EVENT_ACK = 0x31
    MODULE_JOINED = 0x38
    GET_MODULES = 0x39
    MODULE_LIST = 0x3A
    MODULE_ADD = 0x3B
    MODULE_REMOVE = 0x3C
    MODULE_REPLACE = 0x3D
    DISCOVERY = 0x3E
    COMMAND = 0x40
    GROUP_SET = 0x41
    GROUP_COMMAND = 0x42
    COMMAND_CANCEL = 0x43
    COMMAND_REPORT = 0x44
    COMMAND_STATUS = 0x45
    COMMAND_RETRY = 0x46
    TOPOLOGY = 0x50
    LINK_STATS = 0x51
    GET_TOPOLOGY = 0x52
    TOPOLOGY_DELTA = 0x53
    OVERHEARD = 0x54
    FW_OFFER = 0x58
    FW_BLOCK = 0x59
    FW_MISSING = 0x5A
    FW_VERIFY = 0x5B
    FW_ACTIVATE = 0x5C
    FW_STATUS = 0x5D
    GET_FW_STATUS = 0x5E
    KEY_PUT = 0x60
    KEY_CONFIRM = 0x61
    KEY_ACTIVATE = 0x62
    KEY_REVOKE = 0x63
    KEY_MEMBERS = 0x64
    KEY_HELD = 0x65


HANDSHAKE: Final = frozenset({Type.HELLO, Type.CHALLENGE, Type.AUTH, Type.CLOSE, Type.WAKE})  # may travel in plain

# With a corr other than 0 these are answers; everything else with a corr is a request.
ANSWERS: Final = frozenset(
    {
        Type.PONG, Type.ERROR, Type.RESULT, Type.INFO, Type.PARAM, Type.PROFILE, Type.MODULE_LIST, Type.TOPOLOGY,
        Type.FW_STATUS, Type.KEY_CONFIRM,
    }
)

EITHER: Final = frozenset({Type.CLOSE, Type.PING, Type.PONG, Type.ERROR, Type.RESULT})
FROM_CONCENTRATOR: Final = frozenset(
    {
        Type.HELLO, Type.AUTH, Type.INFO, Type.PARAM, Type.ARCH_STATUS, Type.PROFILE, Type.SAMPLES, Type.READ_RESULT,
        Type.EVENT, Type.MODULE_JOINED, Type.MODULE_LIST, Type.COMMAND_REPORT, Type.TOPOLOGY, Type.LINK_STATS,
        Type.TOPOLOGY_DELTA, Type.OVERHEARD, Type.FW_MISSING, Type.FW_STATUS, Type.KEY_CONFIRM,
        Type.KEY_HELD,
    }
)                                       # the rest is for a server to send


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
    PARAMETERS = 16
    READ_NOW = 32
    SINGLE_COMMANDS = 64
    REGISTRY = 128                      # MODULE_ADD to DISCOVERY
    FIRMWARE = 256
    KEYS = 512                          # of links and modules over the air
    TOPOLOGY_DELTA = 1024
    OVERHEARD = 2048
    GROUP_KEYS = 4096                   # hands a group's key to each member and says who holds it


class ClockMode(IntEnum):
    STEP = 0
    SLEW = 1


class KeyTarget(IntEnum):
    """Whose key a KEY_PUT carries."""

    LINK = 0
    MODULE = 1
    GROUP = 2


class Holder(IntEnum):
    """On whose behalf a supply is off; it returns when every holder has released it."""

    NONE = 0                            # of secondary loads, which have none
    DEBT = 1
    DANGER = 2
    LOCKOUT = 3                         # a crew at work


class FirmwareState(IntEnum):
    """How far one device is with the image it was offered."""

    NONE = 0
    RECEIVING = 1
    COMPLETE = 2                        # every block is there
    VERIFIED = 3                        # and the whole has the manifest's hash
    ACTIVATING = 4
    RUNNING = 5                         # the device came back and says so itself
    FAILED = 6                          # its code says why


class Parameter(IntEnum):
    """Settings of a concentrator that every maker's has; from 1024 on they are the maker's own."""

    SERVER_HOST = 1
    SERVER_PORT = 2
    APN = 3
    INTERVAL_S = 4
    RADIO_CHANNEL = 5
    RADIO_WINDOW_S = 6
    STATS_EVERY_S = 7
    DISCOVER_ALWAYS = 8


class Sensor(IntEnum):
    """Quantities of SAMPLES."""

    TEMPERATURE = 1
    VOLTAGE = 2
    HUMIDITY = 3


UNIT_OF_SENSOR: Final = {Sensor.TEMPERATURE: "°C", Sensor.VOLTAGE: "V", Sensor.HUMIDITY: "%"}
