"""Which rows an export wants, and what it had to leave out."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import attrs
from numpy.typing import NDArray

from scada.clock import NS

FOREVER: Final = 2**62 // NS                        # s: beyond every time that can be stored
Rows = tuple[str, dict[str, NDArray[Any]]]          # month, and columns by name


@attrs.define
class Wanted:
    """[first, last) in s since 1970; and what could not be had."""

    first: int = 0
    last: int = FOREVER
    damaged: list[str] = attrs.field(factory=list)
    unnamed: int = 0                                # rows nobody could name yet


def month_of(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m}"


def months_between(low: int | None, high: int | None) -> Iterator[tuple[int, int]]:
    """[first, last) in s of every month that [low, high] touches."""
    if low is None or high is None:
        return
    when = datetime.fromtimestamp(low, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while when.timestamp() <= high:
        following = when.replace(year=when.year + when.month // 12, month=when.month % 12 + 1)
        yield int(when.timestamp()), int(following.timestamp())
        when = following
