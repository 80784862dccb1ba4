"""A course as small as a word: plain geometry, drawn by the server."""

import math
from collections.abc import Sequence
from typing import Final

import attrs

WIDTH: Final = 140.0
HEIGHT: Final = 28.0
EDGE: Final = 2.0
MOST: Final = 31                        # the newest values


@attrs.frozen
class Spark:
    """Everything in pixels of a `width` x `height` box."""

    path: str                           # it breaks where nothing is known
    dots: tuple[tuple[float, float], ...]   # values between two gaps, which no line shows
    limit: float                        # y of the limit
    zero: float
    width: float = WIDTH
    height: float = HEIGHT


def spark(values: Sequence[float], limit: float) -> Spark:
    """Lay out the newest values over zero, with the line that they should fall below."""
    newest = list(values)[-MOST:]
    known = [one for one in newest if math.isfinite(one)]
    top = max([*known, limit * 1.2, 1e-12])
    step = (WIDTH - 2 * EDGE) / max(len(newest) - 1, 1)

    def y(value: float) -> float:
        return round(HEIGHT - EDGE - value / top * (HEIGHT - 2 * EDGE), 1)

    parts, dots = [], []
    for place, value in enumerate(newest):
        if not math.isfinite(value):
            continue
        before = place > 0 and math.isfinite(newest[place - 1])
        after = place + 1 < len(newest) and math.isfinite(newest[place + 1])
        x = round(EDGE + place * step, 1)
        parts.append(f"{'L' if before else 'M'}{x} {y(value)}")
        if not before and not after:
            dots.append((x, y(value)))
    return Spark("".join(parts), tuple(dots), y(limit), y(0.0))
