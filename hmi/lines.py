"""Several courses in one chart as plain geometry: drawn by the server as SVG, so that they print and need no script."""

import math
from collections.abc import Sequence
from typing import Final

import attrs

from hmi.charts import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, Tick, nice_step

LABELS: Final = 10


@attrs.frozen
class LineChart:
    """Everything in pixels of a `width` x `height` box."""

    paths: tuple[str, ...]              # one a course; it breaks where nothing is known
    ticks: tuple[Tick, ...]
    labels: tuple[tuple[float, str], ...]
    zero: float
    digits: int
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    bottom: float = HEIGHT - BOTTOM


def lines(courses: Sequence[Sequence[float]], labels: Sequence[str]) -> LineChart:
    """
    Lay out courses of one unit over one axis.

    Parameters
    ----------
    courses : sequence of sequence of float
        Each as long as `labels`; NaN where nothing is known.
    labels : sequence of str
        One for each place.
    """
    known = [value for course in courses for value in course if math.isfinite(value)]
    top, floor = max([0.0, *known]), min([0.0, *known])
    step = nice_step(max(top - floor, 1e-9 if known else 1.0) / 5)
    low, high = math.floor(floor / step) * step, max(math.ceil(top / step), 1) * step
    slot = (WIDTH - LEFT) / max(len(labels), 1)

    def x(place: int) -> float:
        return round(LEFT + (place + 0.5) * slot, 1)

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    def path(course: Sequence[float]) -> str:
        parts, pen = [], "M"
        for place, value in enumerate(course):
            if math.isfinite(value):
                parts.append(f"{pen}{x(place)} {y(value)}")
            pen = "L" if math.isfinite(value) else "M"
        return "".join(parts)

    every = max(1, math.ceil(len(labels) / LABELS))
    return LineChart(
        paths=tuple(path(course) for course in courses),
        ticks=tuple(Tick(y(low + n * step), low + n * step) for n in range(round((high - low) / step) + 1)),
        labels=tuple((x(place), text) for place, text in enumerate(labels) if place % every == 0),
        zero=y(0.0), digits=max(0, -math.floor(math.log10(step))),
    )
