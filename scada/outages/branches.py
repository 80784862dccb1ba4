"""Branches of a radio tree that fell silent: a relay that was lost, or part of a network that is cut off. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from scada.clock import HOUR_S, NS
from scada.outage import Scope
from scada.outages.cause import Cause
from scada.outages.evidence import Evidence, Post, Witness

HEARD_NS: Final = HOUR_S * NS           # a module speaks once an hour: since when it is silent is known no better
BRANCHES: Final = 3                     # that fall silent together: no coincidence of relays any more
ENOUGH: Final = 0.5                     # confidence below which a cause is only mentioned
MOST_OUT: Final = 0.8                   # share of a building or riser from which it is the building that is out


def is_down(post: Post) -> bool:
    return not post.up and post.changed > 0


def is_behind_a_lost_link(evidence: Evidence, one: Witness) -> bool:
    post = evidence.post.get(one.concentrator)
    return post is not None and is_down(post)


def relays(evidence: Evidence, dark: frozenset[str]) -> Iterator[Cause]:
    """Silent modules that others were heard through, and whoever of them is silent; in `dark` buildings most are out."""
    behind: dict[str, set[str]] = defaultdict(set)
    for name in evidence.silent:
        one = evidence.witness[name]
        if not is_behind_a_lost_link(evidence, one):
            behind[top_of(evidence, one)].add(name)
    tops_at: dict[str, int] = defaultdict(int)
    for top in behind:
        tops_at[evidence.witness[top].building] += 1
    for top, names in behind.items():
        if len(names) < 2:
            continue
        one = evidence.witness[top]
        said = sum(bool(evidence.witness[name].dark) for name in names)
        # Several branches of one building that go silent, and nobody else there is heard: no coincidence of relays.
        confidence = (0.4 if said > 1 else 0.85) / (tops_at[one.building] if one.building in dark else 1)
        yield Cause(
            Scope.RELAY, top, frozenset(names), frozenset(), min(evidence.out[name] for name in names), confidence,
            f"relay {top} is likely lost, and {len(names) - 1} modules behind it with it",
            (f"all that are silent there were heard through {top}, and none of them by anybody else since",
             *((f"the battery of {top} was low",) if one.battery_low else ())),
        )


def top_of(evidence: Evidence, one: Witness) -> str:
    """The uppermost module on the way to the concentrator that fell silent with it, without a heard one between."""
    silent, at, seen = evidence.silent, one, {one.name}
    while at.parent in silent and at.parent not in seen and abs(silent[at.parent] - silent[at.name]) <= HEARD_NS:
        seen.add(at.parent)
        at = evidence.witness[at.parent]
    return at.name


def partitions(evidence: Evidence, smaller: Sequence[Cause]) -> Iterator[Cause]:
    """Branches of one radio network that fell silent together, where nothing smaller explains most of them."""
    of_post: dict[str, list[str]] = defaultdict(list)
    for name in sorted(evidence.silent, key=lambda name: (evidence.silent[name], name)):
        one = evidence.witness[name]
        if not one.dark and not is_behind_a_lost_link(evidence, one):
            of_post[one.concentrator].append(name)
    for post, silent in of_post.items():
        cut_off: set[str] = set()
        branches, confidence = 0, 0.5
        for group in _within_an_hour(evidence, silent):
            tops = len({top_of(evidence, evidence.witness[name]) for name in group})
            if tops < 2 or len(group) < BRANCHES or any(_explains(one, group) for one in smaller):
                continue
            if tops >= BRANCHES:                            # else two relays are as likely, where they can be believed
                confidence = 0.9
            cut_off |= group
            branches += tops
        if cut_off:                                         # one for a network: a second does not tell anybody more
            yield Cause(
                Scope.PARTITION, post, frozenset(cut_off), frozenset(), min(evidence.out[name] for name in cut_off),
                confidence,
                f"part of the radio network of {post} is likely cut off: {len(cut_off)} modules in {branches} branches "
                "fell silent together",
                ("no relay is common to them, those that carried them are heard, and none of them said that its supply "
                 "was lost",),
            )


def _explains(cause: Cause, group: set[str]) -> bool:
    return cause.confidence >= ENOUGH and len(cause.members & group) >= MOST_OUT * len(group)


def _within_an_hour(evidence: Evidence, silent: list[str]) -> Iterator[set[str]]:
    """Runs of modules that fell silent within one from the first; `silent` is in order of time."""
    group: set[str] = set()
    first = 0
    for name in silent:
        if group and evidence.silent[name] - first > HEARD_NS:
            yield group
            group = set()
        if not group:
            first = evidence.silent[name]
        group.add(name)
    if group:
        yield group
