"""A week's study of a group's phases as one row of a series, so that it can be seen where things go. Pure."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from scada.balancing.phases.study import Asked, study
from scada.clock import DAY_H, HOUR_S
from scada.phase_study import PHASE_WEEK_COLUMNS, PhaseStudy

KIND: Final = "phases"
WEEK_S: Final = 7 * DAY_H * HOUR_S
Row = Mapping[str, float]


def week_before(zone: ZoneInfo, day: str) -> tuple[int, int]:
    """First hour [h since 1970] and number of hours of the last whole week, Monday to Sunday, before a site day."""
    monday = date.fromisoformat(day) - timedelta(days=date.fromisoformat(day).weekday())
    first, last = (
        int(datetime.combine(one, time(), zone).timestamp()) // HOUR_S for one in (monday - timedelta(days=7), monday))
    return first, last - first


def row_of(found: PhaseStudy) -> Row:
    """`PHASE_WEEK_COLUMNS` of a study; NaN where it does not say."""
    hourly = found.uneven.get(HOUR_S)
    usual = next((one[HOUR_S].usual for one in (found.uneven, found.losses) if HOUR_S in one), np.nan)
    after = next((one for one in reversed(found.points) if one.moves == len(found.order)), None)
    today, then = found.points[0].check if found.points else None, after.check if after is not None else None
    said = {
        "position": hourly.position if hourly is not None else np.nan, "usual": usual,
        "registered": found.registered_position, "rest": found.rest,
        "consumers": len(found.consumers), "used": found.used, "fed": found.fed,
    }
    if found.fed:
        said["elsewhere"] = len(found.disagreements)
    if after is not None:
        said |= {"moves": len(found.order), "left": after.left}
    if today is not None and then is not None:
        said |= {"neutral": today.neutral, "neutral_after": then.neutral, "lost": today.lost, "lost_after": then.lost}
    if found.together is not None and found.together.sizes:
        said |= {"g_limit": found.together.limit, "g_misfit": found.together.misfit, "g_all": found.together.mean[-1]}
    return {name: float(said.get(name, np.nan)) for name in PHASE_WEEK_COLUMNS}


def row_of_week(asked: Asked) -> tuple[str, Row]:
    """The whole study, in one process."""
    return asked.group, row_of(study(asked))


def nothing(used: int) -> Row:
    """Of a week of which nothing can be said."""
    return {**dict.fromkeys(PHASE_WEEK_COLUMNS, np.nan), "consumers": 0.0, "used": float(used), "fed": 0.0}
