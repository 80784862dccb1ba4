"""What is the matter with each member of a group, in kinds and numbers, from ways 1 and 2."""

from enum import IntEnum
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.suspects import signs
from scada.balancing.suspects.columns import DAY_H, Groups
from scada.balancing.suspects.fused import Ranking
from scada.balancing.suspects.history import Windows
from scada.balancing.suspects.joint import CONFIDENCE, Explained
from scada.balancing.suspects.linear import TINY
from scada.balancing.suspects.onset import onset
from scada.balancing.suspects.signatures import Pattern
from scada.balancing.suspects.states import state_of

BACKWARDS: Final = 0.02                 # share of hours that count backwards
STANDS: Final = 0.90                    # share of hours without a count, where there were counts before


class Cause(IntEnum):
    """What is the matter with a member."""

    CLEAR = 0
    FAULTY_METER = 1        # slow, failed or shunted: it registers less than was taken
    BYPASS_HOURS = 2        # nothing in the same hours of each day
    MAGNET = 3              # a magnet was reported when it may have begun
    NOTHING = 4             # registers nothing while it takes power: pulses do not say why
    CHANGED_HABITS = 5      # less than its past, and the imbalance stays
    FEW_HOURS = 6           # not enough data: too few days or hours in which feed and all members are there
    COARSE_REGISTER = 7     # not enough data: one count of the register is as large as an hour
    LITTLE_PAST = 8         # not enough data: too few of its own days before or after
    COVER_OPENED = 9        # an opened cover was reported when it may have begun
    REVERSED = 10           # counts backwards since lately, which a register with a sign can: phase and neutral swapped


@attrs.frozen(eq=False)
class Verdicts:
    """Of every member and group. Energies are of the days in question since the beginning. [kWh or m3]"""

    cause: NDArray[np.int64]                # (g, n) `Cause`
    suspect: NDArray[np.bool_]              # (g, n) somebody should look at the meter
    energy: NDArray[np.float64]             # (g, n) explained; 0 for others than suspects
    half_width: NDArray[np.float64]         # (g, n) of its 90 % interval
    share: NDArray[np.float64]              # (g, n) of the imbalance since then [1]
    since: NDArray[np.int64]                # (g, n) day; -1
    state: NDArray[np.int64]                # (g,) `State`
    unassigned: NDArray[np.float64]         # (g,) a day in question, that neither members nor the square law explain


def verdicts(
    groups: Groups,
    windows: Windows,
    first: Explained,
    found: Ranking,
    resolution: float | NDArray[np.float64] = 0.01,
    magnets: NDArray[np.bool_] | None = None,
    covers: NDArray[np.bool_] | None = None,
    stepped: NDArray[np.bool_] | None = None,
) -> Verdicts:
    """
    Return what is the matter.

    Parameters
    ----------
    groups, windows, first, found
        The groups, the days, way 1 and the ranking of both ways.
    resolution : float or ndarray of float64, shape (g, n)
        One count of each register. [kWh or m3]
    magnets, covers : ndarray of bool, shape (g, n, d), optional
        Days with an event of a magnet, or of an opened cover, at the member's meter or module.
    stepped : ndarray of bool, shape (g,), optional
        Whether the group's imbalance has a step. Then way 1 over all days takes whoever grew meanwhile for the cause,
        and is believed only where the search accuses the same member.
    """
    days = windows.days
    calm = np.ones(len(groups.feed), dtype=np.bool_) if stepped is None else ~stepped
    # only way 1 sees it, so it is as old as the days
    alone = first.alarm & ~found.named & (calm[:, None] | (found.place >= 0))
    coarse, habits = signs.coarse(groups, resolution), signs.habits(found)
    suspect = (found.named & ~(habits & (found.pattern != Pattern.STEADY)) | alone) & ~coarse
    began = onset(found)
    since = np.where(suspect, np.where(alone, 0, began.day), -1).astype(np.int64)
    whole = alone | (found.pattern == Pattern.STEADY)
    recent = days - windows.before
    span = np.where(since >= windows.before, days - since, recent)
    rate = np.where(alone, first.energy / days, found.rate)
    place = first.half_width / CONFIDENCE / np.maximum(np.abs(groups.members.sum(axis=2)), TINY)
    error = np.hypot(found.error, np.nan_to_num(place * found.changes.after))
    half = np.where(alone, first.half_width / days, CONFIDENCE * error)
    # the regression spreads what it found over all days in question, also those before the beginning
    energy = np.where(suspect, rate * np.where(whole, days, recent), 0.0)
    half_width = np.where(suspect, half * np.where(whole, days, recent), 0.0)
    daily = np.where(groups.usable, groups.imbalance, 0.0).reshape(len(groups.feed), days, DAY_H).sum(axis=2)
    behind = np.cumsum(daily[:, ::-1], axis=1)[:, ::-1]
    row = np.arange(len(daily))[:, None]
    missing = behind[row, np.where(whole, 0, np.maximum(days - span, 0))]
    share = np.where(suspect, energy / np.where(np.abs(missing) > TINY, missing, np.nan), 0.0)

    # way 1 alone knows of no beginning
    with_magnet, with_cover = (
        np.zeros(suspect.shape, dtype=np.bool_) if events is None else suspect & ~alone & began.holds(events)
        for events in (magnets, covers)
    )
    cause = _cause(groups, windows, first, found, suspect, habits, coarse, with_magnet, with_cover)
    state, unassigned = state_of(groups, windows, first, found, suspect, rate)
    return Verdicts(cause, suspect, energy, half_width, share, since, state, unassigned)


def _cause(
    groups: Groups, windows: Windows, first: Explained, found: Ranking, suspect: NDArray[np.bool_],
    habits: NDArray[np.bool_], coarse: NDArray[np.bool_], with_magnet: NDArray[np.bool_], with_cover: NDArray[np.bool_],
) -> NDArray[np.int64]:
    recent = windows.recent
    # only the feed of a child group can, where its register has a sign: pulses have none
    backwards = (groups.members[..., recent] < 0).mean(axis=2) > BACKWARDS
    backwards &= (groups.members[..., ~recent] < 0).mean(axis=2) <= BACKWARDS
    stands = found.nothing > STANDS
    cause = np.select(
        [~first.enough[:, None], ~found.changes.enough, coarse, with_magnet, with_cover, backwards, suspect & stands,
         suspect & found.named & (found.pattern == Pattern.HOURS), suspect, habits],
        [Cause.FEW_HOURS, Cause.LITTLE_PAST, Cause.COARSE_REGISTER, Cause.MAGNET, Cause.COVER_OPENED, Cause.REVERSED,
         Cause.NOTHING, Cause.BYPASS_HOURS, Cause.FAULTY_METER, Cause.CHANGED_HABITS],
        Cause.CLEAR,
    )
    return np.where(groups.real, cause, Cause.CLEAR)
