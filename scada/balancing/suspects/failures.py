"""How often meters of an age fail: the bathtub curve of early faults, service and ageing, editable."""

from itertools import pairwise
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

STEP: Final = 1.0 / 12                  # of reckoning [a]


def _ages(_: object, __: object, value: tuple[float, ...]) -> None:
    if len(value) < 2 or value[0] != 0 or any(b <= a for a, b in pairwise(value)):
        raise ValueError(f"ages of the failure curve are {value}: two or more, ascending from 0 expected [a]")


def _rates(curve: "FailureCurve", _: object, value: tuple[float, ...]) -> None:
    if len(value) != len(curve.ages) or any(not 0 <= rate <= 10 for rate in value):
        raise ValueError(f"rates of the failure curve are {value}: {len(curve.ages)} of 0 to 10 expected [1/a]")


@attrs.frozen
class FailureCurve:
    """Failures a meter and year over its age, straight between points, constant after the last."""

    ages: tuple[float, ...] = attrs.field(validator=_ages)             # [a]
    rates: tuple[float, ...] = attrs.field(validator=_rates)           # [1/a]

    @classmethod
    def bathtub(
        cls, early: float = 0.02, early_years: float = 1.0, service: float = 0.004, life: float = 16.0, ageing: float = 4.0,
        until: float = 40.0,
    ) -> "FailureCurve":
        """
        Return the usual form: early faults that fade, a constant rate, and wear that grows as a power of the age.

        Parameters
        ----------
        early : float
            Rate of early faults at age 0. [1/a]
        early_years : float
            Over which they fade to 1/e. [a]
        service : float
            Constant rate. [1/a]
        life : float
            Age at which wear alone has the rate `ageing` / `life` (Weibull's scale). [a]
        ageing : float
            Weibull's shape; over 1.
        until : float
            Last point. [a]

        Notes
        -----
        The numbers are examples to be edited, not a maker's.
        """
        if min(early, service) < 0 or min(early_years, life, until) <= 0 or ageing <= 1:
            raise ValueError("a bathtub needs rates from 0, times over 0 and a shape over 1")
        age = np.linspace(0.0, until, 161)
        rate = early * np.exp(-age / early_years) + service + ageing / life * (age / life) ** (ageing - 1)
        return cls(tuple(age.tolist()), tuple(np.minimum(rate, 10.0).tolist()))

    def rate(self, age: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return failures a year at each age, same shape. [1/a]"""
        return np.interp(age, self.ages, self.rates)

    def failed(self, noticed: float, until: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """
        Return how likely a meter has failed and nobody has noticed.

        Parameters
        ----------
        noticed : float
            Chance a year that a failure is noticed and repaired. [1/a]
        until : float
            Last age. [a]

        Returns
        -------
        age : ndarray of float64, shape (k,)
            Months. [a]
        probability : ndarray of float64, shape (k,)
            The solution of dp/dt = rate (1 - p) - noticed p with p(0) = 0. [1]
        """
        age = np.arange(0.0, until + STEP, STEP)
        middle = self.rate(age[:-1] + STEP / 2)
        probability = np.zeros(len(age))
        for month, rate in enumerate(middle):              # a step a month of one curve, not of each meter
            fade = np.exp(-(rate + noticed) * STEP)
            rest = rate / (rate + noticed) if rate + noticed > 0 else 0.0
            probability[month + 1] = rest + (probability[month] - rest) * fade
        return age, probability
