"""From evidence to likely causes: rules that a dispatcher could have written, each with what it rests on. Pure.

Silence has two kinds of cause, and they are told apart: something lost its supply, or something is not heard any more.
A module has a battery: it is heard, and says so itself, when the supply that it watches is gone. So a dark building is
known by its modules' own words, and a lost relay by the silence of exactly those that hung on it.

Causes are ranked by confidence, which is a rank and no probability, and taken one by one: the best explanation first, then
the best for who is left. Whoever is heard and supplied is never named.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from scada.clock import NS
from scada.outage import Scope
from scada.outages.branches import ENOUGH, MOST_OUT, is_behind_a_lost_link, is_down, partitions, relays, top_of
from scada.outages.cause import Cause
from scada.outages.evidence import Evidence, Post, Witness

TOGETHER_NS: Final = 180 * NS           # what happens within it has one cause
LEAST_SAID: Final = 0.3                 # share of those out that say so themselves, from which the supply is the cause
WORTH_SAYING: Final = 0.2


def causes(evidence: Evidence) -> tuple[Cause, ...]:
    """
    Return what has likely failed, the most certain first.

    Parameters
    ----------
    evidence : Evidence
        Everything known of the concentrators and modules that may have to do with it.

    Returns
    -------
    causes : tuple of Cause
        Every module that is out is named by exactly one; a concentrator that is down by exactly one. No other module
        is named.
    """
    supplies = list(_supplies(evidence))
    dark = frozenset(one.subject for one in supplies if one.scope is Scope.BUILDING)
    smaller = [*supplies, *relays(evidence, dark)]
    offered = sorted(
        [*_links(evidence), *smaller, *partitions(evidence, smaller)], key=lambda one: (-one.confidence, -len(one.members))
    )
    left, posts, found = set(evidence.out), {one.name for one in evidence.posts if is_down(one)}, []
    for cause in offered:
        members, of_posts = cause.members & left, cause.posts & posts
        if cause.confidence < ENOUGH or not (of_posts or len(members) > 1):
            continue
        found.append(attrs.evolve(cause, members=frozenset(members), posts=frozenset(of_posts)))
        left -= members
        posts -= of_posts
    found += [_single(evidence, evidence.witness[name]) for name in sorted(left)]
    return tuple(attrs.evolve(cause, also=tuple(_also(cause, offered))) for cause in found)


def _also(cause: Cause, offered: Iterable[Cause]) -> Iterator[str]:
    """Other explanations of at least half of it."""
    for other in offered:
        same = (other.scope, other.subject) == (cause.scope, cause.subject)
        shared = len(other.members & cause.members) + len(other.posts & cause.posts)
        if not same and other.confidence >= WORTH_SAYING and 2 * shared >= len(cause.members) + len(cause.posts):
            yield other.sentence


# ------------------------------------------------------------------------------------------ links
def _links(evidence: Evidence) -> Iterator[Cause]:
    """Concentrators that are not connected: one by one, and those that went together."""
    down = sorted((one for one in evidence.posts if is_down(one)), key=lambda one: one.changed)
    unheard: dict[str, set[str]] = defaultdict(set)
    live: dict[str, int] = defaultdict(int)
    said: dict[str, int] = defaultdict(int)
    for one in evidence.witnesses:
        post = evidence.post.get(one.concentrator)
        if post is None or not is_down(post):
            continue
        if one.name in evidence.silent:
            unheard[post.name].add(one.name)
        else:
            live[post.name] += 1
        if one.dark and abs(one.dark - post.changed) <= TOGETHER_NS:
            said[post.name] += 1
    for post in down:
        members = frozenset(unheard[post.name])
        yield _supply_of_post(post, members, said[post.name])
        yield _way_to_post(post, members, live[post.name], said[post.name])
    for group in _together(down):
        quiet = [one for one in group if not _said_so(one) and not said[one.name]]
        if len(quiet) > 1:
            names = ", ".join(one.name for one in quiet)
            everybody = len(quiet) == len(evidence.posts)
            yield Cause(
                Scope.BACKHAUL, names, frozenset().union(*(unheard[one.name] for one in quiet)),
                frozenset(one.name for one in quiet), quiet[0].changed, 0.9 if len(quiet) > 2 or everybody else 0.75,
                f"a common back-haul is likely down: {len(quiet)} concentrators went silent together",
                (f"none of {names} said that its supply was lost",
                 f"{sum(live[one.name] for one in quiet)} of their modules are heard by others since"),
            )


def _said_so(post: Post) -> bool:
    return bool(post.dark) and post.dark <= post.changed + TOGETHER_NS


def _supply_of_post(post: Post, members: frozenset[str], said: int) -> Cause:
    confidence = 0.95 if _said_so(post) else 0.8 if said else 0.3
    sentence = f"the supply of concentrator {post.name} may be lost"
    evidence = [f"{said} of its modules said that their supply was lost when it went silent"]
    if confidence >= ENOUGH:
        sentence = f"the supply of concentrator {post.name} is likely lost"
    if _said_so(post):
        evidence.insert(0, f"{post.name} said that its supply was lost before it went silent")
    return Cause(
        Scope.CONCENTRATOR, post.name, members, frozenset({post.name}), post.changed, confidence, sentence, tuple(evidence)
    )


def _way_to_post(post: Post, members: frozenset[str], live: int, said: int) -> Cause:
    against = _said_so(post) or said
    confidence = 0.2 if against else 0.7 if live else 0.5
    sentence = f"the back-haul of {post.name} is likely down"
    evidence = f"{live} of its modules are heard by others since; nobody said that a supply was lost"
    if not live:
        sentence = f"the back-haul of {post.name}, or the concentrator itself, is down"
        evidence = f"nothing of {post.name} or its modules was heard since, and nobody said that a supply was lost"
    return Cause(
        Scope.BACKHAUL, post.name, members, frozenset({post.name}), post.changed, confidence, sentence, (evidence,)
    )


def _together(down: list[Post]) -> Iterator[list[Post]]:
    """Runs of concentrators that went down one soon after the other; `down` is in order of time."""
    group: list[Post] = []
    for post in down:
        if group and post.changed - group[-1].changed > TOGETHER_NS:
            yield group
            group = []
        group.append(post)
    if group:
        yield group


# --------------------------------------------------------------------------------------- supplies
def _supplies(evidence: Evidence) -> Iterator[Cause]:
    """Buildings and risers of which most modules are out, behind concentrators that are connected."""
    of_building: dict[str, list[Witness]] = defaultdict(list)
    of_riser: dict[tuple[str, str], list[Witness]] = defaultdict(list)
    for one in evidence.witnesses:
        if one.building:
            of_building[one.building].append(one)
            if one.riser:
                of_riser[one.building, one.riser].append(one)
    for building, all_in in of_building.items():
        yield from _supply(evidence, Scope.BUILDING, building, f"building {building}", all_in)
    for (building, riser), all_in in of_riser.items():
        if len(all_in) < len(of_building[building]):
            yield from _supply(
                evidence, Scope.RISER, f"{building}/{riser}", f"riser {riser} of building {building}", all_in
            )


def _supply(evidence: Evidence, scope: Scope, subject: str, where: str, all_in: list[Witness]) -> Iterator[Cause]:
    # Behind a concentrator that is down silence says nothing of a supply: there only a module's own word counts.
    judged = [one for one in all_in if one.dark or not is_behind_a_lost_link(evidence, one)]
    out = [one for one in judged if one.name in evidence.out]
    if len(out) < 2 or len(out) < MOST_OUT * len(judged):
        return
    said = sum(bool(one.dark) for one in out)
    tops = len({top_of(evidence, one) for one in out if one.name in evidence.silent})
    confidence = 0.3 + 0.15 * min(max(tops - 1, 0), 3)
    if said >= max(2, LEAST_SAID * len(out)):
        # Of a building and its riser, both with the same words, it is the building.
        confidence = 0.97 if scope is Scope.BUILDING else 0.94
    word = "is likely lost" if confidence >= ENOUGH else "may be lost"
    yield Cause(
        scope, subject, frozenset(one.name for one in out), frozenset(), min(evidence.out[one.name] for one in out),
        confidence, f"the supply of {where} {word}",
        (f"{len(out)} of {len(judged)} modules there are out, {said} of them said that their supply was lost",),
    )


def _single(evidence: Evidence, one: Witness) -> Cause:
    """Somebody whose silence has no company."""
    sentence, confidence = f"{one.name} is not heard", 0.5
    why = "those around it are heard or have causes of their own"
    if one.name not in evidence.silent:
        sentence, confidence = f"the supply at {one.name} is likely lost", 0.8
        why = "it says so itself, and is alone with it"
    elif one.battery_low:
        sentence, confidence = f"the battery of {one.name} is likely dead", 0.9
        why = "it was low, and then the module went silent"
    return Cause(
        Scope.MODULE, one.name, frozenset({one.name}), frozenset(), evidence.out[one.name], confidence, sentence, (why,)
    )
