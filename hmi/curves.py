"""A measured curve beside the simultaneity curves, as plain geometry of an SVG: no script, and it prints."""

import math
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from hmi.charts import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, Tick, nice_step
from scada.phase_study import PhaseCurves

LABELS: Final = 14                      # at most, along the axis


@attrs.frozen
class Mark:
    x: float
    start: int                          # s since 1970


@attrs.frozen
class CurveChart:
    """Everything in pixels of a `width` x `height` box; paths are broken where nothing is known."""

    measured: str
    minimum: str
    maximum: str
    band: str                           # p5 to p95
    ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    digits: int
    lowest: float                       # of what was measured; NaN if nothing is known
    highest: float
    missing: int
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    bottom: float = HEIGHT - BOTTOM


def curve_chart(curves: PhaseCurves, span_s: int, unit: float, factor: float) -> CurveChart:
    """
    Lay out a measured curve and the three others.

    Parameters
    ----------
    curves : PhaseCurves
        Of k intervals; hours that are not in it are gaps.
    span_s : int
        Length of an interval. [s]
    unit : float
        What the measured curve is divided by, for people.
    factor : float
        What the others are multiplied by before that; not finite: they are left out.
    """
    measured = curves.measured / unit
    scale = factor / unit if math.isfinite(factor) else math.nan
    others = [curve * scale for curve in (curves.minimum, curves.low, curves.high, curves.maximum)]
    known = np.concatenate([one[np.isfinite(one)] for one in (measured, *others)])
    floor, top = (min(0.0, float(known.min())), max(0.0, float(known.max()))) if len(known) else (0.0, 1.0)
    step = nice_step(max(top - floor, 1e-9) / 5)
    low, high = math.floor(floor / step) * step, max(math.ceil(top / step) * step, math.floor(floor / step) * step + step)
    slot = (curves.start - curves.start[:1]) / span_s
    x = LEFT + (WIDTH - LEFT) * (slot + 0.5) / max(float(slot[-1]) + 1 if len(slot) else 1.0, 1.0)
    adjoins = np.diff(curves.start, prepend=0) == span_s

    def y(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return TOP + (high - values) / (high - low) * (HEIGHT - TOP - BOTTOM)

    every = max(1, -(-len(slot) // LABELS))
    known_measured = measured[np.isfinite(measured)]
    steps = range(round((high - low) / step) + 1)
    return CurveChart(
        measured=_path(x, y(measured), adjoins), minimum=_path(x, y(others[0]), adjoins),
        maximum=_path(x, y(others[3]), adjoins), band=_band(x, y(others[1]), y(others[2]), adjoins),
        ticks=tuple(Tick(round(float(y(np.array(low + n * step))), 1), low + n * step) for n in steps),
        marks=tuple(Mark(round(float(x[n]), 1), int(curves.start[n])) for n in range(0, len(slot), every)),
        digits=max(0, -math.floor(math.log10(step))),
        lowest=float(known_measured.min()) if len(known_measured) else math.nan,
        highest=float(known_measured.max()) if len(known_measured) else math.nan,
        missing=int(np.count_nonzero(np.isnan(measured))),
    )


def _runs(known: NDArray[np.bool_], adjoins: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Places that are known and next to each other."""
    place = np.flatnonzero(known)
    if not len(place):
        return []
    return np.split(place, np.flatnonzero((np.diff(place) > 1) | ~adjoins[place[1:]]) + 1)


def _path(x: NDArray[np.float64], y: NDArray[np.float64], adjoins: NDArray[np.bool_]) -> str:
    """One piece for each run; a single interval is a short dash, or it would not be seen."""
    return "".join(
        "M" + "L".join(_at(x[run], y[run])) + ("h3" if len(run) == 1 else "") for run in _runs(np.isfinite(y), adjoins)
    )


def _band(
    x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], adjoins: NDArray[np.bool_]
) -> str:
    return "".join(
        "M" + "L".join([*_at(x[run], high[run]), *_at(x[run][::-1], low[run][::-1])]) + "Z"
        for run in _runs(np.isfinite(low) & np.isfinite(high), adjoins)
    )


def _at(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[str]:
    return [f"{one:.1f} {other:.1f}" for one, other in zip(x.tolist(), y.tolist(), strict=True)]
