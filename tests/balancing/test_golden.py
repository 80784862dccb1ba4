"""Every folder in tests/golden/balancing holds a case worked out by hand; the code must agree with all of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from scada.balancing.hourly import balance, members_over
from scada.balancing.live import current_phasors, loading, maximum_deviation, neutral_current, sequence_ratio
from scada.balancing.register import Edges, at_edges, feed_between

FOLDER = Path(__file__).parent.parent / "golden" / "balancing"
CASES = sorted(path.parent for path in FOLDER.glob("*/case.json"))
SECOND = 10**9


def phases(given):
    current, active, reactive, apparent = (
        np.array(given[name], dtype=float) for name in ("current", "active", "reactive", "apparent")
    )
    phasors = current_phasors(current, active, reactive)
    return {
        "ratio": sequence_ratio(phasors),
        "deviation": maximum_deviation(current),
        "neutral": neutral_current(phasors),
        "loading": loading(apparent, np.array(given["rated"], dtype=float)),
    }


def hour(given):
    def ns(name):
        return np.array(given[name], dtype=np.int64) * SECOND

    def numbers(name):
        return np.array(given[name], dtype=float)

    earlier, later = (ns("earlier_s"), numbers("earlier")), (ns("later_s"), numbers("later"))
    edges = at_edges(ns("edges_s"), *earlier, *later, given["resolution"], 3600 * SECOND)
    start, end = Edges(edges.reading[:-1], edges.doubt[:-1]), Edges(edges.reading[1:], edges.doubt[1:])
    feed = feed_between(start, end, np.array([1]))
    quality = np.array(given["quality"], dtype=np.uint8)
    members = members_over(numbers("members"), quality, np.array([0, 1]), given["accuracy"], numbers("pulse"))
    return {name: column[0] for name, column in balance(feed, members, given["accuracy"]).items()}


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_the_code_agrees_with_the_case_worked_out_by_hand(folder):
    """The tolerances stand in the case; null is NaN."""
    case = json.loads((folder / "case.json").read_text())
    found = {"phases": phases, "balance": hour}[case["function"]](case["input"])
    expected = {name: np.nan if value is None else value for name, value in case["expected"].items()}

    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=case["rtol"], atol=case["atol"], equal_nan=True, err_msg=name)


def test_every_case_says_where_it_comes_from():
    """A number without a source is nobody's."""
    assert len(CASES) >= 7
    assert all((folder / "SOURCE.md").read_text().strip() for folder in CASES)
