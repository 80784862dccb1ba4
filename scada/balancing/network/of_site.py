"""The network of a transformer as the registry has it: its feeders' sections, and the metering points that hang on them."""

import math
from collections.abc import Iterator, Set
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.balancing.network import engine
from scada.balancing.network.checks import network_of
from scada.balancing.network.form import DEFAULTS, FormFactor
from scada.balancing.network.model import Network, Supply
from scada.balancing.network.supplies import blocks, supply
from scada.balancing.network.tables import Linecodes, Sections, ServicePoints, Tables
from scada.balancing.network.topology import spanning_tree
from scada.errors import ConfigError, Problem
from scada.site import Directory, Linecode, Medium, Section, Transformer

VOLT: Final = 400.0                         # between phases; nameplate figures are of this voltage
HOUR_MINUTES: Final = 60
MOST_CONNECTIONS: Final = 4_000             # one-phase, of a network: what each does to each other takes 16 B a pair, twice
MOST_NAMED: Final = 5                       # sections that close a loop
PERCENT: Final = 4.0                        # stands in where uk is not known, and that is a problem


@attrs.frozen(eq=False)
class Known:
    """What the registry says of the networks of a site: those that can be computed, and why the others cannot."""

    networks: dict[str, Network]            # by transformer
    problems: dict[str, tuple[Problem, ...]]
    remarks: tuple[Problem, ...]            # what is left out of a network that can be computed, and who has loops
    waiting: tuple[str, ...] = ()           # those of the problems that only want the engine for loops


def networks(directory: Directory, meshed: bool | None = None) -> Known:
    """
    Return the networks of all transformers that have sections.

    Parameters
    ----------
    directory : Directory
        A service point of a network is a metering point of electricity with a node: a sub-meter has none, and is not
        counted twice. Its phases and its feeder are those of its consumer.
    meshed : bool, optional
        Whether networks with loops can be computed; by default, whether power-grid-model is installed.

    Notes
    -----
    A network that is wrong is a matter of its own transformer: the others are there all the same.
    """
    sections, points = _by_transformer(directory)
    loops = engine.installed() if meshed is None else meshed
    found: dict[str, Network] = {}
    problems: dict[str, tuple[Problem, ...]] = {}
    waiting, closed = [], []
    for one in directory.site.transformers:
        if one.name not in sections:
            continue
        wrong = list(_transformer(one))
        if one.name not in points:
            wrong.append(Problem("points", "", f"no point has a node in the network of {one.name}"))
        try:
            made = network_of(_tables(directory, one, sections[one.name], points.get(one.name, [])), meshed=True)
            found[one.name] = attrs.evolve(made, form=form_of(one))
            if (there := int(made.point_phases.sum())) > MOST_CONNECTIONS:
                wrong.append(Problem("points", "", f"{there:,} one-phase connections in the network of {one.name}; "
                                     f"expected at most {MOST_CONNECTIONS:,}"))
            if made.looped and loops and not wrong:
                closed.append(_closed(one, made, "computed by power-grid-model, without form factor and shares"))
            elif made.looped and not loops:
                waiting += [one.name] if not wrong else []
                wrong.append(_closed(one, made, f"computed by power-grid-model, which is not installed ({engine.REMEDY})"))
        except ConfigError as error:
            wrong += error.problems
        if wrong:
            found.pop(one.name, None)
            problems[one.name] = tuple(wrong)
    return Known(found, problems, (*closed, *_remarks(directory, sections.keys())), tuple(waiting))


def tables(directory: Directory, name: str) -> Tables:
    """What is written down of the network of a transformer, nothing checked yet."""
    sections, points = _by_transformer(directory)
    return _tables(directory, directory.transformer[name], sections.get(name, []), points.get(name, []))


def _by_transformer(directory: Directory) -> tuple[dict[str, list[Section]], dict[str, list[int]]]:
    """Sections of each transformer, and where in the site its service points are."""
    sections: dict[str, list[Section]] = {}
    points: dict[str, list[int]] = {}
    for section in directory.site.sections:
        if section.feeder in directory.feeder:
            sections.setdefault(directory.feeder[section.feeder].transformer, []).append(section)
    if not sections:
        return sections, points
    for place, point in enumerate(directory.site.points):
        if point.node and point.medium is Medium.ELECTRICITY and (name := _fed_by(directory, point.consumer)):
            points.setdefault(name, []).append(place)
    return sections, points


def _fed_by(directory: Directory, consumer: str) -> str:
    """The transformer of a consumer's feeder, "" if nobody says."""
    who = directory.consumer.get(consumer)
    feeder = directory.feeder.get(who.feeder) if who is not None else None
    return feeder.transformer if feeder is not None else ""


def _tables(directory: Directory, transformer: Transformer, sections: list[Section], places: list[int]) -> Tables:
    codes = sorted({one.linecode for one in sections} & directory.linecode.keys())
    points = [directory.site.points[place] for place in places]
    named = transformer.name if any(transformer.name in (one.from_node, one.to_node) for one in sections) else ""
    return Tables(
        linecodes=Linecodes(tuple(codes), _ohm([directory.linecode[code] for code in codes])),
        sections=Sections(
            tuple(one.name for one in sections), tuple((one.from_node, one.to_node) for one in sections),
            tuple(one.linecode for one in sections), np.array([one.length_m for one in sections], dtype=np.float64),
            _ohm(sections),
        ),
        points=ServicePoints(
            tuple(one.name for one in points), tuple(one.node for one in points),
            tuple(directory.consumer[one.consumer].phases for one in points),
            np.array([one.power_factor for one in points], dtype=np.float64), ("",) * len(points),
        ),
        supply=supply_of(transformer), root=transformer.root or named, linecodes_in="linecodes",
        sections_in=f"sections of {transformer.name}", points_in="points",
    )


def _ohm(things: list[Linecode] | list[Section]) -> NDArray[np.float64]:
    rows = [[math.nan if value is None else value for value in (one.r_phase, one.x_phase, one.r_neutral, one.x_neutral)]
            for one in things]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def supply_of(transformer: Transformer) -> Supply:
    """The supply that a transformer's nameplate says, behind a stiff medium-voltage network."""
    rated, whole = transformer.rated_kva * 1e3, transformer.uk_percent or PERCENT
    r = min(whole, 100 * 1e3 * (transformer.load_loss_kw or 0.0) / rated)
    return supply(
        VOLT, VOLT, rated, r, math.sqrt(whole**2 - r**2), volt_pu=transformer.no_load_v / VOLT,
        no_load_loss=1e3 * (transformer.no_load_loss_kw or 0.0),
    )


def form_of(one: Transformer) -> FormFactor | None:
    """The form factor that was fitted to a transformer's consumers; None if none was."""
    if one.form_alone is None or one.form_together is None or one.form_alike is None:
        return None
    doubt = DEFAULTS[60].doubt if one.form_doubt is None else one.form_doubt
    return FormFactor(one.form_alone, one.form_together, one.form_alike, doubt, one.form_minutes)


def _transformer(one: Transformer) -> Iterator[Problem]:
    if one.uk_percent is None:
        yield Problem("transformers", one.name, "has sections, and no uk_percent; expected its short-circuit voltage")
    elif one.load_loss_kw is not None and 100 * one.load_loss_kw / one.rated_kva > one.uk_percent:
        text = f"load_loss_kw {one.load_loss_kw:g} of {one.rated_kva:g} kVA exceeds uk_percent {one.uk_percent:g}"
        yield Problem("transformers", one.name, text)
    if not blocks(one.vector_group):
        text = f"vector_group {one.vector_group!r} lets the zero sequence through; only Dyn can be computed here"
        yield Problem("transformers", one.name, text)


def _closed(transformer: Transformer, network: Network, how: str) -> Problem:
    """Said also where it can be computed: a section too many is often a mistake."""
    tree = spanning_tree(len(network.nodes), network.root, network.ends)
    names = [network.sections[index] for index in tree.closing[:MOST_NAMED].tolist()]
    some = ", ".join(names) + (" …" if len(tree.closing) > MOST_NAMED else "")
    return Problem(f"sections of {transformer.name}", some, f"loops: {how}")


def _remarks(directory: Directory, with_sections: Set[str]) -> Iterator[Problem]:
    """Who should be in a network and is not; its losses come out too low."""
    if not with_sections:
        return
    for one in directory.site.transformers:
        if one.name in with_sections and one.form_minutes != HOUR_MINUTES and form_of(one) is not None:
            text = f"its form factor is for means over {one.form_minutes} minutes; hours take the one that is shipped"
            yield Problem("transformers", one.name, text)
    hanging = {point.consumer for point in directory.site.points if point.node and point.medium is Medium.ELECTRICITY}
    measured = {point.consumer for point in directory.site.points if point.medium is Medium.ELECTRICITY}
    for consumer in directory.site.consumers:
        if consumer.name in measured - hanging and _fed_by(directory, consumer.name) in with_sections:
            text = f"none of its points of electricity has a node: the losses of feeder {consumer.feeder} leave it out"
            yield Problem("consumers", consumer.name, text)
    for point in directory.site.points:
        if point.node and point.medium is Medium.ELECTRICITY and not _fed_by(directory, point.consumer):
            text = f"has the node {point.node}, and its consumer no feeder: it is in no network"
            yield Problem("points", point.name, text)
