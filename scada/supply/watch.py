"""Confirmation by pulses: a supply that is off and still counts is bypassed. Pure, all supplies at once."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.supplies import Effect

LOOK_H: Final = 24                      # hours back that are judged
ODD_PULSES: Final = 1                   # a disc that stopped half-way, or a bounce, is no supply
QUIET_H: Final = 6                      # after that many hours without a pulse a bypass is over
NANOS_PER_HOUR: Final = 3_600_000_000_000


def first_hours(executed: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first hour that lies wholly behind each switch [ns → h since 1970]: the one of the switch itself has counted."""
    return executed // NANOS_PER_HOUR + 1


def verdicts(
    pulses: NDArray[np.int64], missing: NDArray[np.bool_], hours: NDArray[np.int64], first: NDArray[np.int64]
) -> tuple[list[Effect], NDArray[np.int64]]:
    """
    Say of each supply whether its pulses have stopped.

    Parameters
    ----------
    pulses : (n, h) int64
        Hourly pulses of each supply's meter.
    missing : (n, h) bool
        Where nothing is held.
    hours : (h,) int64
        Hours since 1970 of the columns, ascending.
    first : (n,) int64
        First hour that counts for each supply.

    Returns
    -------
    list of Effect, and (n,) int64
        WAITING where no hour of its own has come; and the pulses of the last `QUIET_H` hours that have.
    """
    there = ~missing & (hours[None, :] >= first[:, None])
    behind = np.cumsum(there[:, ::-1], axis=1)[:, ::-1]     # which of its hours each is, the last one being 1
    late = there & (behind <= QUIET_H)
    sums = np.where(late, pulses, 0).sum(axis=1)
    some: NDArray[np.bool_] = np.any(there, axis=1)
    effects = [
        Effect.WAITING if not known else Effect.BYPASS if counted > ODD_PULSES else Effect.CONFIRMED
        for known, counted in zip(some.tolist(), sums.tolist(), strict=True)
    ]
    return effects, sums.astype(np.int64)
