"""From evidence to causes: golden cases of the field, and what must hold for any evidence."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hmi.reasons import known
from scada.clock import NS
from scada.outages.cause import Cause
from scada.outages.causes import causes
from scada.outages.evidence import Evidence, Post, Witness

GOLDEN = Path(__file__).parents[1] / "golden" / "outages"
CASES = sorted(path for path in GOLDEN.iterdir() if path.is_dir())
TIMES = frozenset({"heard", "lost", "dark", "changed"})


def read(folder: Path) -> tuple[Evidence, list[dict[str, Any]]]:
    """A case: concentrators and modules as rows, times in seconds of the day; what must come out, most certain first."""
    case = yaml.safe_load((folder / "case.yaml").read_text(encoding="utf-8"))

    def values(row: dict[str, Any]) -> dict[str, Any]:
        return {key: value * NS if key in TIMES else value for key, value in row.items()}

    posts = tuple(Post(**values(row)) for row in case["posts"])
    usual = values(case.get("usual", {}))
    witnesses = tuple(Witness(**(usual | values(row))) for row in case["modules"])
    return Evidence(posts, witnesses), case["expected"]


def test_there_are_the_cases_that_the_field_knows() -> None:
    assert {
        "lost-relay", "dark-building", "concentrator-supply", "back-haul-modules-live", "dead-battery", "common-back-haul",
        "dark-riser", "split-network", "hot-relay-beside-others", "lost-on-other-days",
        "silent-network", "nothing",
    } <= {case.name for case in CASES}


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_a_golden_case_has_its_causes(folder: Path) -> None:
    evidence, expected = read(folder)
    found = causes(evidence)

    assert [(one.scope.value, one.subject, sorted(one.members)) for one in found] == [
        (one["scope"], one["subject"], one["members"]) for one in expected
    ]
    for one, wanted in zip(found, expected, strict=True):
        assert wanted["says"] in one.sentence
        assert one.since == wanted["since"] * NS
        assert [text for text in wanted.get("evidence", []) if text not in " ".join(one.evidence)] == []
        assert [text for text in wanted.get("also", []) if text not in " ".join(one.also)] == []


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    """Anything that a field may report, in any contradiction."""
    time = st.integers(0, 2000)
    posts = tuple(
        Post(name, draw(st.booleans()), draw(time) * NS, draw(st.sampled_from((0, 0, 500))) * NS)
        for name in ("C01", "C02")[: draw(st.integers(1, 2))]
    )
    names = [f"M{n}" for n in range(draw(st.integers(0, 9)))]
    witnesses = tuple(
        Witness(
            name, draw(st.sampled_from([post.name for post in posts])), draw(st.sampled_from(["", *names])),
            draw(st.sampled_from(["", "B1", "B2"])), draw(st.sampled_from(["", "1", "2"])), draw(time) * NS,
            draw(st.one_of(st.just(0), time)) * NS, draw(st.one_of(st.just(0), time)) * NS, draw(st.booleans()),
        )
        for name in names
    )
    return Evidence(posts, witnesses)


def present(evidence: Evidence, one: Witness) -> bool:
    """Heard, and not saying that its supply is lost: in the words of the specification, not of the code."""
    post = next(post for post in evidence.posts if post.name == one.concentrator)
    unheard = (one.lost and one.heard <= one.lost) or (not post.up and post.changed and one.heard <= post.changed)
    return not one.dark and not unheard


@given(evidences())
def test_whoever_is_heard_and_supplied_is_never_named(evidence: Evidence) -> None:
    found = causes(evidence)
    named = [name for cause in found for name in cause.members]

    assert not {one.name for one in evidence.witnesses if present(evidence, one)} & set(named)
    assert sorted(named) == sorted(one.name for one in evidence.witnesses if not present(evidence, one))


@given(evidences())
def test_a_concentrator_that_is_down_has_exactly_one_cause(evidence: Evidence) -> None:
    named = [name for cause in causes(evidence) for name in cause.posts]

    assert sorted(named) == sorted(post.name for post in evidence.posts if not post.up and post.changed)


@given(evidences())
def test_every_cause_is_told_with_its_evidence_and_says_no_more_than_it_knows(evidence: Evidence) -> None:
    found: tuple[Cause, ...] = causes(evidence)

    for one in found:
        assert one.sentence
        assert all(one.evidence)
        # What a dispatcher does not read in his language is half of it.
        assert [said for said in (one.sentence, *one.evidence, *one.also) if not known(said)] == []
        assert one.sentence not in one.also
        assert one.since in {evidence.out[name] for name in evidence.out} | {post.changed for post in evidence.posts}
