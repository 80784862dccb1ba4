"""Whose turn it is at a concentrator, and when a share is likely to be over. Pure.

The radio is slow and shared: a question travels to its module and the answer back, each over as many hops as the
module has levels, and each hop waits for the next meeting of two nodes. What a module's mean travel time is, its
concentrator has measured (LINK_STATS). Half of all answers need longer than the mean, so the slowest of many is
reckoned with twice that; this is the rule the radio model of docs/dmlp.md gives for the 95th percentile.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from scada.clock import NS
from scada.reading.machine import UNDER_WAY
from scada.reads import ReadShare, ReadState, ReadTask

AT_ONCE: Final = 2                      # shares under way at one concentrator: an urgent one does not wait for a long one
UNKNOWN_TRAVEL_S: Final = 60.0          # of a module that has not reported yet: the middle of what a tree needs
MARGIN: Final = 2.0                     # p95 over the mean
TRIPS: Final = 2                        # there and back


Open = Sequence[tuple[ReadTask, ReadShare]]


def next_shares(of_link: Open) -> list[tuple[ReadTask, ReadShare]]:
    """Of the open shares at one concentrator those that may be sent now, in the order they are to leave."""
    free = AT_ONCE - sum(share.state in UNDER_WAY for _, share in of_link)
    return _waiting(of_link)[: max(0, free)]


def duration_s(share: ReadShare, travel_s: Mapping[int, float]) -> float:
    """How long the modules of a share need to answer, by their EUIs' mean travel times. [s, site time]"""
    open_ = [member for member in share.members if not member.readings and not member.reason] or share.members
    slowest = max((_travel(travel_s.get(member.eui, math.nan)) for member in open_), default=UNKNOWN_TRAVEL_S)
    return TRIPS * MARGIN * slowest


def expectations(
    of_link: Open, name: str, travel_s: Mapping[int, float], *, up: bool, busy_until: int, now: int
) -> dict[bytes, tuple[int, str]]:
    """For every open share at one concentrator, by read id: when it is likely to be over [ns], and why it stands there."""
    found: dict[bytes, tuple[int, str]] = {}
    lanes = [now] * AT_ONCE
    under_way = [share for _, share in of_link if share.state in UNDER_WAY]
    for place, share in enumerate(under_way):
        ends = max(share.sent + round(duration_s(share, travel_s) * NS), now)
        found[share.read_id] = (ends, share.reason) if up else (0, f"{name} is not connected")
        lanes[place % AT_ONCE] = max(lanes[place % AT_ONCE], ends)
    for ahead, (_, share) in enumerate(_waiting(of_link), len(under_way)):
        lane = lanes.index(min(lanes))
        lanes[lane] = max(lanes[lane], busy_until) + round(duration_s(share, travel_s) * NS)
        if not up:
            found[share.read_id] = (0, f"{name} is not connected")
        elif busy_until > now:
            found[share.read_id] = (lanes[lane], f"{name} is busy with other reads")
        else:
            found[share.read_id] = (lanes[lane], f"waits for its turn: {ahead} reads ahead at {name}")
    return found


def _waiting(of_link: Open) -> list[tuple[ReadTask, ReadShare]]:
    waiting = [one for one in of_link if one[1].state is ReadState.QUEUED]
    return sorted(waiting, key=lambda one: (one[0].priority, one[0].made, one[0].id))


def _travel(seconds: float) -> float:
    return seconds if math.isfinite(seconds) and seconds > 0 else UNKNOWN_TRAVEL_S


def with_share(task: ReadTask, share: ReadShare) -> ReadTask:
    """The task with one share replaced."""
    return attrs.evolve(task, shares=tuple(share if one.read_id == share.read_id else one for one in task.shares))
