"""What a concentrator says of itself, and its parameters by name. The wire's numbers are the driver's affair."""

from collections.abc import Mapping
from typing import Final

import attrs

from scada.commands import Role

MAY_MANAGE: Final = frozenset({Role.ENGINEER, Role.ADMINISTRATOR})
MAY_CANCEL: Final = frozenset({Role.DISPATCHER, Role.ADMINISTRATOR})
LONGEST_DISCOVERY_S: Final = 86_400
LONGEST_DELAY_S: Final = 65_535
LONGEST_TEXT: Final = 128               # bytes of UTF-8 of a parameter


def fits(value: int | str) -> bool:
    """Whether a parameter can have this value at all: an integer of 32 bits with sign, or a short text."""
    if isinstance(value, int):
        return -(2**31) <= value < 2**31
    return len(value.encode("utf-8", "replace")) <= LONGEST_TEXT and value.isprintable()


@attrs.frozen
class ConcentratorInfo:
    name: str
    model: str
    firmware: str
    uptime_s: int
    modules: int
    configuration: int                  # version of its parameters


@attrs.frozen
class Parameters:
    """The values that a concentrator has in one version of its configuration."""

    name: str
    version: int
    values: Mapping[str, int | str]     # by name; what is the maker's own, by its number
