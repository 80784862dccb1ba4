"""A small group's least worst hour by a solver: as a study, within its cap, and why there is none."""

from itertools import product

import attrs
import numpy as np
import pytest

from scada.balancing.phases import exact
from scada.balancing.phases.inputs import Given, Inputs
from scada.balancing.phases.polish import deviations
from scada.balancing.phases.study import Asked, study
from scada.balancing.phases.uneven import allocated
from scada.phase_study import Lack, Unchecked
from tests.balancing.phases.world import households


def asked(n=9, days=2):
    power, hours = households(n, days, 5), np.arange(24 * days)
    phase = np.repeat([0, 1, 2], [n - 4, 2, 2])
    of = Inputs(
        tuple(f"P{one}" for one in range(n)), ("",) * n, phase, hours, hours, power, power, np.zeros((len(hours), 3)), 0.0,
        {})
    nothing = np.full(len(hours), np.nan)
    return Asked("BG", 0, len(hours), Given(
        of, None, nothing, nothing, np.zeros(len(hours), bool), None, np.zeros((len(hours), 0)), Unchecked.NO_NETWORK,
    ), moves=2, exact=True)


def worst(question, found):
    phase = question.given.of.registered.copy()
    for one in found.order:
        phase[int(one.point[1:])] = int(one.to[1]) - 1
    return np.abs(deviations(allocated(question.given.of.profiles, phase))).max()


def test_no_two_moves_make_the_worst_hour_less_bad_than_those_of_the_solver():
    """All tried; and the curve is today and its answer."""
    question = asked()
    found, power, start = study(question), question.given.of.profiles, question.given.of.registered
    every = []
    for one, other, to, there in product(range(9), range(9), range(3), range(3)):
        phase = start.copy()
        phase[other], phase[one] = there, to
        every.append(np.abs(deviations(allocated(power, phase))).max())

    assert found.proven
    assert worst(question, found) == pytest.approx(min(every), rel=1e-3)
    assert [one.moves for one in found.points] == [0, len(found.order)]
    assert len(found.order) <= 2


def test_where_there_is_no_such_answer_the_moves_are_searched_and_it_is_said_why(monkeypatch):
    """Too many consumers; no scipy; nothing found in time."""
    large, question = study(asked(61)), asked()
    searched = study(attrs.evolve(question, exact=False))
    monkeypatch.setattr(exact, "solve_worst_hour", lambda *_: None)
    late = study(question)

    def absent(*_):
        raise ModuleNotFoundError("scipy")

    monkeypatch.setattr(exact, "solve_worst_hour", absent)
    without = study(question)

    assert (large.lacks[Lack.EXACT_TOO_LARGE], late.lacks[Lack.NO_ANSWER], without.lacks[Lack.NO_SOLVER]) == (
        (61, 60), (20,), ())
    assert searched.order == late.order == without.order
    assert (large.proven, late.proven, searched.proven) == (None, None, None)
