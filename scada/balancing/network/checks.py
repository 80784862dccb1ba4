"""From what was written down to a network that can be computed, or to all that is wrong with it at once. Pure."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scada.balancing.network.mistakes import mistakes
from scada.balancing.network.model import PHASES, Network
from scada.balancing.network.tables import Tables
from scada.balancing.network.topology import islands, spanning_tree
from scada.errors import ConfigError, Problem

LETTERS: Final = {"A": 0, "B": 1, "C": 2, "1": 0, "2": 1, "3": 2}


def network_of(tables: Tables, meshed: bool = False) -> Network:
    """
    Return the network that `tables` describe.

    Parameters
    ----------
    tables : Tables
    meshed : bool
        Loops are allowed; only `meshed.solve_meshed` can compute such a network.

    Raises
    ------
    ConfigError
        With every problem: unknown names, doubles, missing or unknown phases, impossible numbers, islands, loops.
    """
    problems = list(mistakes(tables))
    sections, points = tables.sections, tables.points
    nodes = tuple(dict.fromkeys(end for pair in sections.ends for end in pair if end))
    place = {name: index for index, name in enumerate(nodes)}
    whole = [index for index, pair in enumerate(sections.ends) if all(pair)]
    ends = np.array([[place[end] for end in sections.ends[index]] for index in whole], dtype=np.intp).reshape(-1, 2)

    root = _root(tables, place, ends, problems)
    if root is not None:
        tree = spanning_tree(len(nodes), root, ends)
        apart = islands(len(nodes), tree.reached, ends)
        names = [sections.names[index] for index in whole]
        if not meshed:
            problems += [
                Problem(tables.sections_in, names[index], "closes a loop; expected a tree, or `meshed`")
                for part in (tree, *apart) for index in part.closing
            ]
        problems += [_island(tables, nodes, part.reached) for part in apart]
    phases = [phases_of(text) for text in points.phases]
    problems += [
        Problem(tables.points_in, name, f"phase {text!r} is not known; expected L1, L2, L3 or several of them, or A, B, C")
        if text.strip() else Problem(tables.points_in, name, "no phase; expected L1, L2, L3 or several of them, or A, B, C")
        for name, text, found in zip(points.names, points.phases, phases, strict=True) if found is None
    ]
    problems += [
        Problem(tables.points_in, name, f"node {node!r} has no section" if node else "no node; expected one of a section")
        for name, node in zip(points.names, points.node, strict=True) if node not in place
    ]
    if problems:
        raise ConfigError(problems)
    per_km = np.where(np.isnan(sections.ohm_per_km), _of_linecodes(tables), sections.ohm_per_km)
    ohm = per_km * sections.length[:, None] / 1000
    return Network(
        nodes=nodes, root=root or 0, sections=sections.names, ends=ends, length=sections.length,
        phase_ohm=ohm[:, 0] + 1j * ohm[:, 1], neutral_ohm=ohm[:, 2] + 1j * ohm[:, 3], points=points.names,
        point_node=np.array([place[node] for node in points.node], dtype=np.intp),
        point_phases=np.array(phases, dtype=bool).reshape(-1, PHASES), power_factor=points.power_factor,
        profile=points.profile, supply=tables.supply,
    )


def phases_of(text: str) -> list[bool] | None:
    """Which of L1, L2 and L3 a text such as "L1L3" or "AC" names; None if it names none, or something else."""
    letters = text.upper().replace("L", "").replace(",", "").replace(" ", "")
    if not letters or len(set(letters)) < len(letters) or set(letters) - set(LETTERS):
        return None
    wanted = {LETTERS[letter] for letter in letters}
    return [phase in wanted for phase in range(PHASES)] if len(wanted) == len(letters) else None


def _of_linecodes(tables: Tables) -> NDArray[np.float64]:
    codes = {name: index for index, name in enumerate(tables.linecodes.names)}
    known = np.vstack([tables.linecodes.ohm_per_km, np.full(4, np.nan)])
    return np.asarray(known[[codes.get(code, -1) for code in tables.sections.linecode]].reshape(-1, 4))


def _root(tables: Tables, place: dict[str, int], ends: NDArray[np.intp], problems: list[Problem]) -> int | None:
    if tables.root:
        if tables.root not in place:
            problems.append(Problem(tables.sections_in, "", f"no section reaches {tables.root!r}, where the source hangs"))
        return place.get(tables.root)
    only: list[int] = sorted(set(ends[:, 0].tolist()) - set(ends[:, 1].tolist()))
    if len(only) == 1:
        return only[0]
    nodes = list(place)
    found = ", ".join(nodes[index] for index in only[:5]) or "none"
    problems.append(Problem(
        tables.sections_in, "", f"where is the source? expected one node that only feeds, found {found}; name it"
    ))
    return None


def _island(tables: Tables, nodes: Sequence[str], reached: NDArray[np.bool_]) -> Problem:
    names = [nodes[index] for index in np.flatnonzero(reached).tolist()]
    held = set(names)
    points = sum(node in held for node in tables.points.node)
    some = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return Problem(tables.sections_in, "", f"island: nothing feeds {some} ({len(names)} nodes, {points} service points)")
