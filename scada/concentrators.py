"""What a concentrator says of itself, and its parameters by name. The wire's numbers are the driver's affair."""

from collections.abc import Mapping
from typing import Final

import attrs

from scada.commands import Role

MAY_MANAGE: Final = frozenset({Role.ENGINEER, Role.ADMINISTRATOR})
MAY_CANCEL: Final = frozenset({Role.DISPATCHER, Role.ADMINISTRATOR})
LONGEST_DISCOVERY_S: Final = 86_400
LONGEST_DELAY_S: Final = 65_535


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
