"""What the balance pages share: a group's newest interval, and the difference shown for one that is not whole."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hmi.services import Services
from scada.clock import DAY_H, HOUR_S

WHOLE: Final = 0.9999                   # completeness from which an interval counts as complete
LOOK_BACK_S: Final = 2 * DAY_H * HOUR_S


def newest(services: Services, group: str) -> tuple[int, dict[str, float]]:
    """Start [s since 1970] and columns of the newest hour that has a row, however incomplete; (0, {}) without one."""
    now = services.clock.seconds()
    table = services.balances.table(group, HOUR_S, now - LOOK_BACK_S, now)
    if not len(table.start):
        return 0, {}
    columns = with_provisional({name: column[-1:] for name, column in table.columns.items()})
    return int(table.start[-1]), {name: float(column[0]) for name, column in columns.items()}


def with_provisional(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """
    Fill in feed - members where the balance itself is withheld because members are missing.

    It is no balance: whoever shows it looks at `whole` (all of it is measured) and `by_estimates` (it is known by estimates
    of what is missing), and hatches all else or sets it in brackets.
    """
    withheld = np.isnan(columns["imbalance"])
    difference = columns["feed"] - columns["members"]
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = np.where(columns["feed"] != 0, 100.0 * difference / np.abs(columns["feed"]), np.nan)
    guessed = np.nan_to_num(columns["estimated"]) > 0 if "estimated" in columns else np.zeros(len(withheld), np.bool_)
    return {
        **columns,
        "whole": (columns["completeness"] >= WHOLE) & ~guessed,
        "by_estimates": guessed & ~withheld,
        "imbalance": np.where(withheld, difference, columns["imbalance"]),
        "imbalance_percent": np.where(withheld, percent, columns["imbalance_percent"]),
    }
