"""How many series an InfluxDB 1.x takes, as it is configured, and whether ours come near that. Pure.

Debian's takes 100,000 values of a tag and 1,000,000 series of a database: one channel more, and it stores nothing of that
channel. It is asked once a connection; who may not ask is told when a limit is reached.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import attrs

QUESTION: Final = "SHOW DIAGNOSTICS FOR 'config-data'"
NEAR: Final = 0.8                                   # of a limit, and people are told


@attrs.frozen
class Ceilings:
    """What its configuration says; 0: no limit, or not known."""

    values_per_tag: int = 0
    series: int = 0

    def near(self, channels: int, tags: int) -> Iterator[str]:
        """What to put right before it is too late: each channel, and each live tag, is a value of a tag and a series."""
        yield from _sentence("max-values-per-tag", self.values_per_tag, max(channels, tags))
        yield from _sentence("max-series-per-database", self.series, channels + tags)


def ceilings_of(status: int, said: str) -> Ceilings:
    """From an answer to `QUESTION`."""
    try:
        (series,) = json.loads(said)["results"][0]["series"] if status == 200 else ({},)
        known = dict(zip(series["columns"], series["values"][0], strict=True))
    except (ValueError, LookupError, TypeError):
        return Ceilings()
    return Ceilings(_number(known.get("max-values-per-tag")), _number(known.get("max-series-per-database")))


def _sentence(name: str, limit: int, there: int) -> Iterator[str]:
    if limit and there > NEAR * limit:
        yield f"its {name} is {limit} and there are {there} here (expected 0, no limit, unless its index is tsi1)"


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
