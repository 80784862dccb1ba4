"""Completeness as rows: of concentrators and groups worst first, of days, of the modules of one concentrator. Pure."""

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from hmi.encode import finite
from hmi.services import Services
from scada.clock import HOUR_S
from scada.ports import CollectionSummary


def worst_first(summaries: Iterable[CollectionSummary]) -> list[CollectionSummary]:
    """By what lacks of the last week, then by hours missing; of which nothing is known comes last."""
    def badness(one: CollectionSummary) -> tuple[float, int, str]:
        week = one.shares[2]
        return (2.0 if math.isnan(week) else week, -one.missing - one.given_up, one.name)

    return sorted(summaries, key=badness)


def days(summaries: Iterable[CollectionSummary], timezone: str) -> list[dict[str, Any]]:
    """Sums over concentrators of each site day, the newest first, from when something was due."""
    due: dict[int, int] = {}
    lacking: dict[int, int] = {}
    for one in summaries:
        for start, wanted, lack in zip(one.edges, one.due.tolist(), one.lacking.tolist(), strict=False):
            due[start] = due.get(start, 0) + wanted
            lacking[start] = lacking.get(start, 0) + lack
    zone = ZoneInfo(timezone)
    begun = next((start for start in sorted(due) if due[start]), None)
    return [
        {
            "day": f"{datetime.fromtimestamp(start * HOUR_S, zone):%Y-%m-%d}", "due": due[start], "lacking": lacking[start],
            "held": finite(100 * (1 - lacking[start] / due[start])) if due[start] else None,
        }
        for start in sorted(due, reverse=True) if begun is not None and start >= begun
    ]


def modules(services: Services, concentrator: str, summaries: tuple[CollectionSummary, ...]) -> list[dict[str, Any]]:
    """Of one concentrator, those that lack most first."""
    view = services.collection.collection(concentrator)
    if view is None or not summaries:
        return []
    names = {one.index: one.name for one in services.registry.directory.site.modules if one.concentrator == concentrator}
    edges = np.clip(np.array(summaries[0].edges) - view.first, 0, view.wanted.shape[1])
    up_to = view.given_up - view.first
    rows = []
    for index in np.unique(view.index).tolist():
        mine = view.index == index
        due, lack = (np.concatenate([[0], one[mine].sum(axis=0).cumsum()]) for one in (view.wanted, view.lacking))
        row: dict[str, Any] = {"name": names.get(index, f"index {index}"), "index": index}
        for name, first in (("held_yesterday", -3), ("held_7_days", -8), ("held_30_days", 0)):
            last = -2 if name == "held_yesterday" else -1
            wanted, gone = (int(one[edges[last]] - one[edges[first]]) for one in (due, lack))
            row[name] = finite(100 * (1 - gone / wanted)) if wanted else None
        cut = max(0, up_to)
        rows.append(row | {"missing": int(lack[-1] - lack[cut]), "given_up": int(lack[cut])})
    return sorted(rows, key=lambda row: (-row["missing"], -row["given_up"], row["index"]))
