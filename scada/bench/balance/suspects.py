"""Who is it: how often thieves are found, and honest people left alone, on generated groups whose truth is known."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects.columns import stacked
from scada.balancing.suspects.examine import Report, examine
from scada.balancing.suspects.joint import Explained, explained
from scada.balancing.suspects.leaks import leaks
from scada.bench import Figure
from scada.bench.balance.generated import generator
from scada.bench.balance.scores import auc, interval, precision

REPEATS: Final = 120                    # groups with thieves, of each kind of measurement
CLEAN: Final = 240
MEMBERS, DAYS, THIEVES = 50, 20, 3
HOMES: Final = 1000                     # of the leaks, a repeat
PULSE: Final = 0.010                    # [m3]
SEED: Final = 700_000                   # none of these groups was looked at while constants were chosen


def measure(repeats: int = REPEATS, clean: int = CLEAN, homes: int = HOMES) -> list[Figure]:
    return [*_way1(repeats, clean), *_fused(repeats), *_taps(repeats), *_leaks(homes, max(repeats // 10, 3))]


def _way1(repeats: int, clean: int) -> list[Figure]:
    """A constant factor of 0.2-0.8, all the time."""
    kind = generator("thefts").Theft.CONSTANT
    groups = _groups(repeats, SEED, lambda _: (kind,) * THIEVES)
    parts = [(some, explained(_stacked(some))) for some in _parts(groups)]
    ranks, recall, errors = _ranked(parts), [], []
    false = 0
    for some, found in parts:
        for row, group in enumerate(some):
            bad = group.kind > 0
            recall.append(found.alarm[row][bad].mean())
            false += int((found.alarm[row] & ~bad).sum())
            seen = found.alarm[row] & bad
            errors += (np.abs(found.energy[row] / np.maximum(group.stolen.sum(axis=1), 1e-9) - 1.0))[seen].tolist()
    untouched = _groups(clean, SEED + 100_000, lambda _: ())
    alarmed = sum(int(explained(_stacked(some)).alarm.any(axis=1).sum()) for some in _parts(untouched))
    of = f"{repeats} groups of {MEMBERS}, {DAYS} days, {THIEVES} with a constant factor"
    return [
        *_with_interval("way1_auc", f"way 1, AUC; {of}", ranks[:, 0]),
        *_with_interval("way1_p3", f"way 1, precision of the first three; {of}", ranks[:, 1]),
        *_with_interval("way1_recall", f"way 1, thieves alarmed; {of}", np.array(recall)),
        Figure("way1_false_members", f"way 1, honest members alarmed beside thieves; {of}", false / repeats, "a group"),
        Figure("way1_false_groups", f"way 1, clean groups alarmed, in 60; {clean} groups", alarmed * 60 / clean, "of 60"),
        Figure("way1_kwh_error", f"way 1, median error of the energy; {of}", 100 * float(np.median(errors)), "%"),
    ]


def _fused(repeats: int) -> list[Figure]:
    """Any of the six ways since the eleventh day; the day is not told."""
    theft = generator("thefts").Theft

    def mixed(rng: np.random.Generator) -> tuple[Any, ...]:
        return tuple(theft(int(kind)) for kind in rng.integers(1, 7, THIEVES))

    groups = _groups(repeats, SEED + 200_000, mixed, since_day=DAYS // 2)
    parts = _examined(groups)
    ranks = _ranked([(some, report.found) for some, report in parts])
    suspect, bad = _suspects(parts), np.array([group.kind > 0 for some, _ in parts for group in some])
    of = f"{repeats} groups, {THIEVES} of six kinds since the 11th of {DAYS} days"
    return [
        *_with_interval("fused_auc", f"both ways, AUC; {of}", ranks[:, 0]),
        *_with_interval("fused_p3", f"both ways, precision of the first three; {of}", ranks[:, 1]),
        Figure("fused_named", f"thieves named; {of}", 100 * float(suspect[bad].mean()), "%"),
        Figure("fused_blamed", f"honest members named beside them; {of}", 100 * float(suspect[~bad].mean()), "%"),
    ]


def _taps(repeats: int) -> list[Figure]:
    """A home that no meter sees."""
    found = []
    for name, since, when in (("tap_blamed", DAYS // 2, "since the 11th day"), ("tap_blamed_old", 0, "all the time")):
        groups = _groups(repeats, SEED + 300_000 + 5_000 * since, lambda _: (), since_day=since, taps=1)
        blamed = 100 * _suspects(_examined(groups)).mean(axis=1)
        found += _with_interval(name, f"unmetered tap {when}: honest members blamed; {repeats} groups", blamed, "%")
    return found


def _leaks(homes: int, repeats: int) -> list[Figure]:
    """Pulses of ten litres."""
    water = generator("water")
    step = np.full(homes, PULSE)
    flows = np.random.default_rng(SEED).uniform(5.0, 15.0, (repeats, homes))
    flows[:, : homes // 2] = 5.0
    got = [
        float(leaks(water.homes(SEED + seed, homes, 3, leak=flow) / 1000, step, 0.005).found.mean())
        for seed, flow in enumerate(flows)
    ]
    wrong = [
        float(leaks(water.homes(SEED + 500 + seed, homes, 30) / 1000, step, 0.005).found.mean()) for seed in range(repeats)
    ]
    of = f"{repeats} x {homes} homes, 10 l pulses"
    return [
        *_with_interval("leak_found", f"leaks of 5-15 l/h found within three nights; {of}", 100 * np.array(got), "%"),
        *_with_interval("leak_false", f"homes without a leak reported in 30 days; {of}", 100 * np.array(wrong), "%"),
    ]


def _groups(count: int, seed: int, thieves: Callable[[np.random.Generator], tuple[Any, ...]], **how: int) -> list[Any]:
    feeder = generator("feeders").feeder
    made = []
    for number in range(count):
        rng = np.random.default_rng(seed + number)
        kinds = thieves(rng)
        made.append(feeder(rng, MEMBERS, DAYS, kinds, **how))
    return made


def _parts(groups: Sequence[Any], size: int = 20) -> list[Sequence[Any]]:
    return [groups[start : start + size] for start in range(0, len(groups), size)]


def _examined(groups: Sequence[Any]) -> list[tuple[Sequence[Any], Report]]:
    """As the server does it: weekends are forecast from weekends. Each stack is of groups of the same calendar."""
    return [
        (some, examine(_stacked(some), like=((weekday + np.arange(DAYS)) % 7 >= 5).astype(np.int64)))
        for weekday in range(7) for some in _parts([group for group in groups if group.first_weekday == weekday])
    ]


def _stacked(groups: Sequence[Any]) -> Any:
    return stacked([group.feed for group in groups], [group.members for group in groups])


def _ranked(parts: Sequence[tuple[Sequence[Any], Explained | Any]]) -> NDArray[np.float64]:
    """AUC and precision of each group, (r, 2)."""
    return np.array([
        (auc(score, group.kind > 0), precision(score, group.kind > 0))
        for some, found in parts for group, score in zip(some, found.score, strict=True)
    ])


def _suspects(parts: Sequence[tuple[Sequence[Any], Report]]) -> NDArray[np.bool_]:
    return np.concatenate([report.said.suspect for _, report in parts])


def _with_interval(name: str, what: str, values: NDArray[np.float64], unit: str = "") -> list[Figure]:
    mean, low, high = interval(values)
    return [
        Figure(name, f"{what}; 90 % interval {low:.4g}-{high:.4g}", mean, unit),
        Figure(f"{name}_low", "lower end of that", low, unit),
        Figure(f"{name}_high", "upper end of that", high, unit),
    ]
