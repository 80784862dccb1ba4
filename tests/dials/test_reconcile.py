"""Dial against count: cases worked by hand, and what must hold for any figures."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scada.dial import Cause, Comparison, Verdict, read_dial
from scada.dials.reconcile import REGISTER_MODULUS, Instant, at_instants, reconcile
from scada.intervals import MISSING

CASES = list(csv.DictReader((Path(__file__).parents[1] / "golden" / "dials" / "cases.csv").open(encoding="utf-8")))
CLASS_PERCENT = 1.0


def instant(dials: list[str], pulses: list[float], doubt: float = 0.0) -> Instant:
    shown = [read_dial(one) for one in dials]
    return Instant(
        np.array([one.value for one in shown]), np.array([one.decimals for one in shown]),
        np.array([one.whole for one in shown]), np.array(pulses, dtype=float), np.full(len(dials), doubt),
    )


def compare(begin: str, counted: float, read: str, per_unit: float = 1000.0, doubt: float = 0.0) -> Comparison:
    return reconcile(instant([begin], [0.0]), instant([read], [counted], doubt), np.array([per_unit]), CLASS_PERCENT)


def test_cases_worked_by_hand_all_at_once() -> None:
    """Every line of the golden table in one call: expected dial, signed difference, verdict and likely cause."""
    found = reconcile(
        instant([one["begin"] for one in CASES], [float(one["pulses_begin"]) for one in CASES]),
        instant([one["read"] for one in CASES], [float(one["pulses_read"]) for one in CASES]),
        np.array([float(one["per_unit"]) for one in CASES]), CLASS_PERCENT,
    )
    said = [(Verdict(int(v)).name, Cause(int(c)).name) for v, c in zip(found.verdict, found.cause, strict=True)]

    assert dict(zip([c["name"] for c in CASES], said, strict=True)) == {
        one["name"]: (one["verdict"], one["cause"]) for one in CASES
    }
    np.testing.assert_allclose(found.expected, [float(one["expected"]) for one in CASES], atol=1e-6)
    np.testing.assert_allclose(found.difference, [float(one["difference"]) for one in CASES], atol=1e-6)


def test_the_tolerance_is_places_pulse_doubt_and_class() -> None:
    """0.1 + 0.1 of the dials, (1 + 50) pulses of 1000, 1 % of 100 kWh."""
    found = compare("00000.0", 100_000, "00100.0", doubt=50)

    assert found.tolerance[0] == pytest.approx(0.2 + 0.051 + 1.0)


def test_a_register_that_is_not_there_waits_and_blames_nobody() -> None:
    found = compare("00000.0", np.nan, "00100.0")

    assert (found.verdict[0], found.cause[0]) == (Verdict.WAITING, Cause.NONE)
    assert np.isnan(found.difference[0])


def test_a_register_a_little_below_its_beginning_is_doubt_and_no_wrap() -> None:
    """Both instants lie in one hour of 60 pulses: the straight line may put the later one before the earlier."""
    begin, read = instant(["00010.0"], [100.0], 40), instant(["00010.0"], [90.0], 40)
    found = reconcile(begin, read, np.array([1000.0]), CLASS_PERCENT)

    assert found.verdict[0] == Verdict.OK
    assert found.expected[0] == pytest.approx(9.99)


def test_a_ratio_that_stays_is_a_constant_though_it_is_none_that_is_sold() -> None:
    """Two readings in turn with the same 1.37: no pulses are lost as evenly as that."""
    begin = instant(["00000.0"], [0.0])
    first = reconcile(begin, instant(["00137.0"], [100_000.0]), np.array([1000.0]), CLASS_PERCENT)
    second = reconcile(begin, instant(["00274.0"], [200_000.0]), np.array([1000.0]), CLASS_PERCENT, first.ratio)

    assert first.cause[0] == Cause.MISSED_PULSES
    assert second.cause[0] == Cause.WRONG_CONSTANT


def test_an_instant_within_an_hour_lies_on_a_line_and_says_how_far_it_may_be_off() -> None:
    """A quarter of 80 pulses; all of them may lie in the three quarters after it. At a full hour there is no doubt."""
    start, end = np.array([1000, 1000, 1000, MISSING]), np.array([1080, 1080, MISSING, 1080])
    pulses, doubt = at_instants(start, end, np.array([900, 0, 0, 900]), np.array([0.0, 0.0, 0.0, 0.0]), MISSING)

    np.testing.assert_allclose(pulses, [1020, 1000, 1000, np.nan])
    np.testing.assert_allclose(doubt[:2], [60, 0])


amounts = st.integers(0, 10_000_000)


@given(
    start=st.integers(0, REGISTER_MODULUS - 1), counted=amounts, begin=st.integers(0, 9_999_999),
    per_unit=st.sampled_from([1.0, 10.0, 100.0, 500.0, 1000.0, 3200.0]),
)
def test_a_dial_that_moved_as_counted_always_agrees(start: int, counted: int, begin: int, per_unit: float) -> None:
    """Wherever register and dial began, and whether either went through its end."""
    dial = (begin / 10 + counted / per_unit) % 1_000_000
    shown = f"{np.floor(dial * 10) / 10:08.1f}"
    found = reconcile(
        instant([f"{begin / 10:08.1f}"], [float(start)]), instant([shown], [float((start + counted) % REGISTER_MODULUS)]),
        np.array([per_unit]), 0.0,
    )

    assert found.verdict[0] == Verdict.OK
    assert abs(found.difference[0]) <= found.tolerance[0]


@given(counted=st.integers(1000, 10_000_000), off=st.floats(-0.9, 5.0))
def test_the_verdict_follows_the_size_of_the_difference_alone(counted: int, off: float) -> None:
    """OK within the tolerance, a mismatch beyond 2 % and three tolerances; the sign says which of the two is ahead."""
    read = round(1000 + counted / 1000 * (1 + off), 1)
    found = compare("01000.0", counted, f"{read:09.1f}")
    size, tolerance = abs(found.difference[0]), found.tolerance[0]
    far = size > max(3 * tolerance, 0.02 * abs(read - 1000))

    assert (found.verdict[0] == Verdict.OK) == (size <= tolerance)
    assert (found.verdict[0] == Verdict.MISMATCH) == (far and size > tolerance)
    assert (found.cause[0] == Cause.NONE) == (found.verdict[0] == Verdict.OK)


@given(st.lists(st.tuples(amounts, amounts), min_size=1, max_size=8))
def test_many_at_once_are_as_each_alone(rows: list[tuple[int, int]]) -> None:
    """No row looks at another."""
    dials: list[str] = [f"{read / 100:09.2f}" for _, read in rows]
    counts: list[float] = [float(counted) for counted, _ in rows]
    per_unit: NDArray[np.float64] = np.full(len(rows), 1000.0)
    together = reconcile(instant(["00000.00"] * len(rows), [0.0] * len(rows)), instant(dials, counts), per_unit, 1.0)
    alone = [compare("00000.00", counted, dial) for counted, dial in zip(counts, dials, strict=True)]

    assert together.verdict.tolist() == [one.verdict[0] for one in alone]
    assert together.cause.tolist() == [one.cause[0] for one in alone]
