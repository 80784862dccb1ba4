"""Makes witnesses of the registry, the last reports and the signs that devices gave. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from scada.clock import HOUR_S, NS
from scada.events import EventCode
from scada.intervals import IntervalStatus
from scada.outages.evidence import Witness
from scada.site import IN_SERVICE, OUT_OF_SERVICE, Directory, MeshView, Module
from scada.tags import Snapshot

HOUR_STATUS: Final = "/hour_status"     # the tag of a channel with the status bits of its last delivered hour
LAST_WORD_NS: Final = 3 * HOUR_S * NS   # from the end of that hour to the loss: a module is missed only after a while


def place_of(directory: Directory, module: Module) -> tuple[str, str]:
    """(building, riser) of a module: its own, or its consumer's; what stands behind the last "/" is the riser."""
    consumer = directory.consumer.get(directory.consumer_of_eui.get(module.eui, ""))
    where = module.building or (consumer.building if consumer is not None else "")
    building, slash, riser = where.rpartition("/")
    return (building.strip(), riser.strip()) if slash else (where, "")


def last_words(shot: Snapshot) -> dict[str, int]:
    """Modules whose last delivered hour has the power-down bit, and that hour's end [ns], by name."""
    found: dict[str, int] = {}
    for tag, position in shot.index.items():
        if not tag.endswith(HOUR_STATUS) or position >= len(shot.values):
            continue
        value = shot.values[position]
        if value == value and int(value) & IntervalStatus.POWER_DOWN:
            name = tag.removesuffix(HOUR_STATUS).rpartition(".ch")[0]
            found[name] = max(found.get(name, 0), int(shot.at[position]))
    return found


def departed(directory: Directory, signs: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Signs, by device and event code, of modules that have left service."""
    return [
        (device, code) for device, code in signs
        if (module := directory.module_of_name.get(device)) is not None and module.state in OUT_OF_SERVICE
    ]


def losses(directory: Directory, signs: Mapping[tuple[str, int], int]) -> dict[str, dict[int, int]]:
    """When modules were lost that their concentrator calls so: by concentrator, by EUI. [ns]"""
    found: dict[str, dict[int, int]] = {}
    for (device, code), at in signs.items():
        if code == EventCode.MODULE_LOST and (module := directory.module_of_name.get(device)) is not None:
            found.setdefault(module.concentrator, {})[module.eui] = at
    return found


def witnesses(
    directory: Directory, views: Sequence[MeshView], signs: Mapping[tuple[str, int], int], overheard: Mapping[int, int],
    words: Mapping[str, int], through: Mapping[int, int],
) -> tuple[Witness, ...]:
    """
    Return the adopted modules of some concentrators as witnesses.

    Parameters
    ----------
    directory : Directory
        The registry.
    views : sequence of MeshView
        The last reports of the concentrators in question.
    signs : mapping of (device, event code) to int
        What devices said and have not taken back, since when. [ns]
    overheard : mapping of int to int
        When other concentrators last heard a module, by EUI. [ns]
    words : mapping of str to int
        Modules whose last delivered hour said that the supply was lost, and that hour's end. [ns]
    through : mapping of int to int
        Through whom modules that are lost were last heard, by EUI: the relay's EUI, 0 for the concentrator. Of everybody
        else the last report says it.

    Returns
    -------
    witnesses : tuple of Witness
        Modules nobody adopted are no witnesses: nobody knows where they are. The bit of an hour says nothing of the
        present, so it counts only for a module that its concentrator calls lost, and only if it was its last word.
    """
    found = []
    for view in views:
        adopted = {
            node.index: module for node in view.nodes
            if (module := directory.module_of_eui.get(node.eui)) is not None and module.state in IN_SERVICE
        }
        node_at = {node.index: node.eui for node in view.nodes}
        name_of = {module.eui: module.name for module in adopted.values()}
        for node in view.nodes:
            if (module := adopted.get(node.index)) is None:
                continue
            building, riser = place_of(directory, module)
            relay = through.get(node.eui, node_at.get(node.parent, 0))
            heard = max(node.heard, overheard.get(node.eui, 0))
            lost = signs.get((module.name, EventCode.MODULE_LOST), 0)
            dark = signs.get((module.name, EventCode.POWER_DOWN), 0)
            word = words.get(module.name, 0)
            if not dark and word and heard <= lost <= word + LAST_WORD_NS:
                dark = word
            found.append(Witness(
                module.name, view.concentrator, name_of.get(relay, ""), building, riser,
                heard, lost, dark, (module.name, EventCode.BATTERY_LOW) in signs,
            ))
    return tuple(found)
