"""Site time: one linear map of real time, shared by every process of a site.

Hours, `off_for`, `not_after`, staleness and balances follow site time. Protocol timers, back-off, sessions
and OPC UA follow real time. In production the rate is 1 and the two are the same.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

NS: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
HOUR_S: Final = 3600
DAY_H: Final = 24


@attrs.frozen
class TimeMap:
    """Site time as a function of real time: `site = site0 + (real - real0) * rate`."""

    real0: int = 0             # ns since 1970, real
    site0: int = 0             # ns since 1970, site
    rate: float = attrs.field(default=1.0, converter=float, validator=attrs.validators.gt(0))

    def site(self, real: int) -> int:
        up, down = self.rate.as_integer_ratio()      # whole numbers: at rate 1 not a nanosecond is lost
        return self.site0 + (real - self.real0) * up // down

    def real(self, site: int) -> int:
        up, down = self.rate.as_integer_ratio()
        return self.real0 + (site - self.site0) * down // up

    def save(self, path: Path) -> None:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(attrs.asdict(self)))
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> "TimeMap":
        return cls(**json.loads(path.read_text()))


class SiteClock:
    """The clock every package is handed; the only place where real time is read."""

    def __init__(
        self,
        time_map: TimeMap | None = None,
        *,
        real: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        trusted: Callable[[], bool] = lambda: True,
    ) -> None:
        self.map = time_map or TimeMap()
        self._real, self._monotonic, self._trusted = real, monotonic, trusted

    @property
    def rate(self) -> float:
        return self.map.rate

    def now(self) -> int:
        """Site time. [ns since 1970]"""
        return self.map.site(self._real())

    def seconds(self) -> int:
        """Site time. [s since 1970]"""
        return self.now() // NS

    def hour(self) -> int:
        """The hour of site time that is running. [h since 1970]"""
        return self.now() // (NS * HOUR_S)

    def real(self) -> int:
        """Real UTC time, for what site time must not shorten: the days a key is still good. [s since 1970]"""
        return self._real() // NS

    def monotonic(self) -> float:
        """Real time that never jumps, for time-outs. [s]"""
        return self._monotonic()

    def delay(self, site_seconds: float) -> float:
        """How long to wait, in real seconds, for `site_seconds` of site time to pass."""
        return site_seconds / self.map.rate

    def trusted(self) -> bool:
        """Whether this machine's time is good enough to send a timed command."""
        return self._trusted()
