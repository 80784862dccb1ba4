"""One look at the meters of a site: which of them stand still, which of them an imbalance follows. Reads block."""

from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import numpy as np

from scada.clock import HOUR_S, NS
from scada.ports import Balances, Metering, measured
from scada.site import BalanceGroup, Directory, Medium, MemberRole, MeterPeriod
from scada.site_groups import common, sum_of
from scada.tags import BAD
from scada.validation.followers import Floats, Follower, followers
from scada.validation.zeros import pauses, stuck

PAST_H: Final = 21 * 24                 # that a meter is compared with
LEAST_PAUSE_H: Final = {Medium.ELECTRICITY: 12}         # a refrigerator never rests for so long
LEAST_OTHER_H: Final = 168              # water and gas: a week
PAUSED_H: Final = {Medium.ELECTRICITY: 3}               # from where a pause spoils what a balance says of a meter
PAUSED_OTHER_H: Final = 24
WINDOWS_H: Final = (32, 48, 96)         # of a balance: a shorter one sees sooner, a longer one finer
AT_ONCE: Final = 1000                   # points that are read together
STUCK, TOO_MUCH, TOO_LITTLE = "meter_stuck", "meter_too_much", "meter_too_little"


@attrs.frozen
class Finding:
    """A meter that cannot be believed."""

    source: str                         # device of its channel: "C01-017.ch0"
    kind: str
    area: str
    since: int                          # ns, site time
    detail: str


def findings(directory: Directory, metering: Metering, balances: Balances, hour_now: int) -> tuple[Finding, ...]:
    """
    Return which meters cannot be believed as of an hour.

    Parameters
    ----------
    directory : Directory
        The registry.
    metering, balances
        Hourly quantities and balances. Blocking.
    hour_now : int
        The hour that is running. [h since 1970]
    """
    points = [one.name for one in directory.site.points if _meter(directory, one.name, hour_now) is not None]
    found = [
        one for start in range(0, len(points), AT_ONCE)
        for one in _standing(directory, metering, points[start:start + AT_ONCE], hour_now)
    ]
    for group in directory.site.balance_groups:
        found += _following(directory, metering, balances, group, hour_now)
    return tuple({(one.source, one.kind): one for one in found}.values())


def _standing(directory: Directory, metering: Metering, points: Sequence[str], hour_now: int) -> Iterator[Finding]:
    first = hour_now - PAST_H
    hourly = _quantities(metering, points, first, PAST_H)
    meters = [_meter(directory, point, hour_now) for point in points]
    begin = np.array([0 if meter is None else meter.valid_from for meter in meters], dtype=np.int64)
    hourly[first + np.arange(PAST_H) < begin[:, None]] = np.nan         # the past of another meter is none
    media = [directory.point[point].medium for point in points]
    roofs = {one.member for one in directory.site.balance_members if one.role is MemberRole.GENERATION}     # rest at night
    least = np.array([
        LEAST_OTHER_H if point in roofs else LEAST_PAUSE_H.get(medium, LEAST_OTHER_H)
        for point, medium in zip(points, media, strict=True)
    ], dtype=np.int64)
    found = pauses(hourly)
    for row in np.flatnonzero(stuck(found, least)).tolist():
        hours, longest, meter = int(found.present[row]), int(found.longest[row]), meters[row]
        if meter is not None:
            yield _finding(
                directory, meter, STUCK, hour_now - hours,
                f"nothing counted for {hours} h; before that never for more than {longest} h",
            )


def _following(
    directory: Directory, metering: Metering, balances: Balances, group: BalanceGroup, hour_now: int
) -> Iterator[Finding]:
    whole = sum_of(directory, group)
    span = max(WINDOWS_H)
    first = hour_now - span
    if any(part.point and part.point not in directory.point for part in whole.parts):
        return
    # What generates, comes or goes, and registers on the bus are in the imbalance, but no readings to follow.
    members = [
        part.point for part in whole.parts
        if part.point and part.sign > 0 and common(part.counting, [(first, hour_now)]) == [(first, hour_now)]
    ]
    imbalance, feed, doubt, lost = _columns(
        balances, group.name, ("imbalance", "feed", "uncertainty", "technical"), first, span
    )
    known = np.isfinite(doubt)
    if not members or not known.any():
        return
    taken = _quantities(metering, members, first, span)
    rested = pauses(taken)                              # while it stands still a meter shows nothing of what it lacks
    paused = np.maximum(rested.present, rested.longest) >= PAUSED_H.get(group.medium, PAUSED_OTHER_H)
    noise = 0.1 * float(np.median(doubt[known]))        # the doubt is a bound of all errors; most are the same each hour
    best: dict[int, Follower] = {}
    for window in WINDOWS_H:
        part = slice(span - window, span)
        for one in followers(_unexplained(imbalance[part], lost[part]), feed[part], taken[:, part], noise):
            if paused[one.row]:
                continue
            if one.row not in best or one.strength > best[one.row].strength:
                best[one.row] = one
    for one in best.values():
        meter = _meter(directory, members[one.row], hour_now)
        if meter is not None:
            yield _finding(
                directory, meter, TOO_MUCH if one.factor > 1 else TOO_LITTLE, hour_now,
                f"the imbalance of {group.name} follows its readings: it shows about {one.factor:.2f} of what was used",
            )


def _unexplained(imbalance: Floats, lost: Floats) -> Floats:
    """Without what the cables lose, where that is known of all hours: a step to hours of which it is not would look like
    somebody's readings."""
    return imbalance - lost if np.isfinite(lost[np.isfinite(imbalance)]).all() else imbalance


def _quantities(metering: Metering, points: Sequence[str], first: int, hours: int) -> Floats:
    """What was counted; NaN where nothing is held, or the line was dead and said so."""
    taken = metering.hourly(points, first, hours)
    return np.where(taken.quality < BAD, taken.values, np.nan)


def _columns(balances: Balances, group: str, names: Sequence[str], first: int, hours: int) -> Floats:
    """Columns of the hourly balance over a range without gaps; NaN where none is kept or it is estimated."""
    table = balances.table(group, HOUR_S, first * HOUR_S, (first + hours) * HOUR_S)
    found = np.full((len(names), hours), np.nan)
    for column, name in zip(found, names, strict=True):
        if len(table.start) and name in table.columns:
            column[table.start // HOUR_S - first] = measured(table, name)
    return found


def _meter(directory: Directory, point: str, hour: int) -> MeterPeriod | None:
    """The one that hangs there now."""
    for one in directory.meters_of_point.get(point, ()):
        if one.valid_from <= hour and (one.valid_to is None or hour < one.valid_to):
            return one
    return None


def _finding(directory: Directory, meter: MeterPeriod, kind: str, hour: int, detail: str) -> Finding:
    module = directory.module_of_eui.get(meter.eui)
    name = module.name if module is not None else f"{meter.eui:016x}"
    concentrator = directory.concentrator.get(module.concentrator) if module is not None else None
    area = concentrator.area if concentrator is not None else ""
    return Finding(f"{name}.ch{meter.channel}", kind, area, hour * HOUR_S * NS, detail)
