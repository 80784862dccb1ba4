"""Bar charts as plain geometry: drawn by the server as SVG, so that they print and need no script."""

import math
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

WIDTH: Final = 1280.0
HEIGHT: Final = 300.0
LEFT: Final = 64.0
TOP: Final = 12.0
BOTTOM: Final = 28.0


@attrs.frozen
class Bar:
    x: float
    y: float
    width: float
    height: float
    value: float                        # NaN: nothing is known
    whole: bool                         # False: drawn hatched
    label: str
    low: float = math.nan               # y of the whisker's ends; NaN = none
    high: float = math.nan
    future: bool = False
    unfed: bool = False                 # the members are there, the feed is not
    estimated: bool = False             # known by estimates: drawn hatched as well

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@attrs.frozen
class Tick:
    y: float
    value: float


@attrs.frozen
class BarChart:
    """Everything in pixels of a `width` x `height` box."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    zero: float
    digits: int
    every: int                          # each n-th bar carries its label
    lowest: float                       # of the whole intervals, NaN if there are none
    highest: float
    incomplete: int
    missing: int
    unfed: int
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    bottom: float = HEIGHT - BOTTOM


def bars(
    values: NDArray[np.float64],
    whole: NDArray[np.bool_],
    labels: list[str],
    uncertainty: NDArray[np.float64] | None = None,
    over: NDArray[np.bool_] | None = None,
    unfed: NDArray[np.bool_] | None = None,
    estimated: NDArray[np.bool_] | None = None,
) -> BarChart:
    """
    Lay out one bar per interval.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        NaN where nothing is known: no bar, a mark on the axis.
    whole : ndarray of bool, shape (n,)
        Whether the interval is complete; the others are drawn hatched.
    labels : list of str
        One per interval.
    uncertainty : ndarray of float64, shape (n,), optional
        Half-width of a whisker, same unit as `values`.
    over : ndarray of bool, shape (n,), optional
        Whether the interval is past: one that is still to come is neither drawn nor missing.
    unfed : ndarray of bool, shape (n,), optional
        Where there is no value because the feed is missing, though the members are there.
    estimated : ndarray of bool, shape (n,), optional
        Where the value is known by estimates: hatched, but not counted as incomplete.
    """
    guessed = np.zeros(len(values), dtype=bool) if estimated is None else estimated
    known = np.isfinite(values)
    past = np.ones(len(values), dtype=bool) if over is None else over
    feedless = ~known & past & (np.zeros(len(values), dtype=bool) if unfed is None else unfed)
    half = np.zeros(len(values)) if uncertainty is None else uncertainty
    spread = np.where(known & np.isfinite(half), half, 0.0)
    top = max(0.0, float((values[known] + spread[known]).max())) if known.any() else 0.0
    floor = min(0.0, float((values[known] - spread[known]).min())) if known.any() else 0.0
    if not known.any():
        top = 1.0                                             # an axis that can be read, though there is nothing on it
    step = nice_step(max(top - floor, 1e-9) / 5)
    low, high = math.floor(floor / step) * step, max(math.ceil(top / step), 1 if floor == 0 else 0) * step
    room = HEIGHT - TOP - BOTTOM

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * room, 1)

    slot = (WIDTH - LEFT) / max(len(values), 1)
    found = []
    for n, value in enumerate(values.tolist()):
        x, wide = round(LEFT + n * slot + slot * 0.12, 1), round(slot * 0.76, 1)
        if not math.isfinite(value):
            found.append(Bar(x, y(0.0), wide, 0.0, math.nan, False, labels[n], future=not past[n], unfed=bool(feedless[n])))
            continue
        near, far = sorted((y(value), y(0.0)))
        whisker = (y(value - spread[n]), y(value + spread[n])) if spread[n] else (math.nan, math.nan)
        high_enough = max(round(far - near, 1), 1.0)
        found.append(Bar(
            x, near, wide, high_enough, value, bool(whole[n]), labels[n], *whisker, estimated=bool(guessed[n])
        ))
    good = values[known & whole]
    return BarChart(
        bars=tuple(found),
        ticks=tuple(Tick(y(low + n * step), low + n * step) for n in range(round((high - low) / step) + 1)),
        zero=y(0.0), digits=max(0, -math.floor(math.log10(step))), every=max(1, math.ceil(len(values) / 16)),
        lowest=float(good.min()) if len(good) else math.nan, highest=float(good.max()) if len(good) else math.nan,
        incomplete=int((known & ~whole & ~guessed).sum()), missing=int((~known & past & ~feedless).sum()),
        unfed=int(feedless.sum()),
    )


def nice_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * 0.999_999)


def loading_bar(percent: float) -> dict[str, Any]:
    """Width of a loading bar on a scale of 0 to 150 %; the limit stands at 100 %."""
    known = math.isfinite(percent)
    width = min(max(percent, 0.0), 150.0) / 150.0 * 100.0 if known else 0.0
    level = "over" if known and percent > 100 else "near" if known and percent > 90 else "normal"
    return {"width": round(width, 2), "level": level}
