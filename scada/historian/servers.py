"""Which InfluxDB is on the other side, what it cannot do, and in which dialect it is spoken to. Pure.

1.x and 3 say their version in a header of `/ping`, 2.x there or in the body of `/health`; 3 also says its build. A token
that may not ping leaves the version unknown, which stops nothing.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from scada.settings import InfluxSettings

FIRST_V2_WRITE: Final = (1, 8)                      # the first version that knows /api/v2/write
_NUMBER: Final = re.compile(r"(\d+)\.(\d+)")


@attrs.frozen
class Server:
    """What a server says of itself."""

    version: str = ""                   # "1.6.7~rc0", "2.7.1", "3.9.2"; "" = it does not say
    build: str = ""                     # "OSS", "Core", "Enterprise"

    @property
    def number(self) -> tuple[int, int]:
        """(major, minor); (0, 0) where it is not known."""
        found = _NUMBER.match(self.version)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    @property
    def major(self) -> int:
        return self.number[0]

    def __str__(self) -> str:
        words = ("InfluxDB", self.version, self.build if self.build != "OSS" else "")
        return " ".join(filter(None, words)) if self.version else ""


def identify(headers: Mapping[str, str], body: str) -> Server:
    """Who answered, from an answer to `/ping` or `/health`."""
    named = {name.lower(): value.strip() for name, value in headers.items()}
    version = named.get("x-influxdb-version", "") or _in_body(body)
    return Server(version.removeprefix("v"), named.get("x-influxdb-build", ""))


def dialect_of(server: Server, settings: InfluxSettings) -> str:
    """`v1` or `v2`; "" where `auto` cannot tell."""
    if settings.dialect != "auto":
        return settings.dialect
    return {0: "", 2: "v2"}.get(server.major, "v1")


def unsuitable(server: Server, settings: InfluxSettings) -> str:
    """Why this server cannot be written to as configured; "" if it can, or nobody knows."""
    if not dialect_of(server, settings):
        return f"{settings.url} does not say which version it is (expected dialect v1 or v2 in place of auto)"
    if settings.dialect == "v2" and (0, 0) < server.number < FIRST_V2_WRITE:
        return f"{settings.url} is {server} and takes no /api/v2/write, which came with 1.8 (expected dialect v1)"
    return ""


def limits_of(server: Server) -> Iterator[str]:
    """What a user should know that this version cannot do."""
    if server.major == 3 and server.build != "Enterprise":
        yield f"{server} answers queries over about 72 hours at most"
        yield f"{server} deletes no rows"


def _in_body(body: str) -> str:
    try:
        said: Any = json.loads(body)
    except ValueError:
        return ""
    version = said.get("version") if isinstance(said, dict) else None
    return version if isinstance(version, str) else ""
