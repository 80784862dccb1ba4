"""The one name space of the bus: nothing that has tags may have the name of another thing that has tags. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from scada.site import Site

WITH_TAGS: Final = ("transformers", "concentrators", "modules", "load_groups", "balance_groups")
RESERVED: Final = {
    "Dispatch": "the desk's own tags", "Alarms": "the alarms' own tags",
    "Outages": "the outages' own tags", "Firmware": "the tags of the firmware campaigns",
    "Dials": "the dials' own tags",
}
PREFIXES: Final = {"server.": "the server's own tags", "Alarm.": "the alarm tags of a device"}
SUFFIXES: Final = {                     # of devices made of a thing: whose they are, and what they say
    "-losses": ("transformer ", "the losses of"), "-phases": ("balance group ", "the phases of"),
}
# Channels are devices of their own (C01-001.ch0), and so are a module's or concentrator's sensors, a concentrator's
# network and clocks, the collection of a module, concentrator or balance group, and the supply that a module switches.
_PART: Final = re.compile(r"(?P<whole>.+)(\.ch[0-7]|-sensors|-collection|-network|-time|-supply)")


def on_the_bus(site: Site) -> dict[str, str]:
    """Who has each name on the bus: "transformer T01" by "T01"; the first one where a name stands twice."""
    found: dict[str, str] = {}
    for kind in WITH_TAGS:
        for thing in getattr(site, kind):
            found.setdefault(thing.name, f"{one_of(kind)} {thing.name}")
    return found


def clashes(site: Site) -> Iterator[tuple[str, int, str]]:
    """Things with the name of something else: (kind, position, sentence); twice within a kind is not meant."""
    held = on_the_bus(site)
    for kind in WITH_TAGS:
        for position, thing in enumerate(getattr(site, kind)):
            if said := shared(f"{one_of(kind)} {thing.name}", thing.name, held):
                yield kind, position, said


def device_clashes(site: Site, devices: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Devices of the configuration with the name of something on the site: (device, sentence)."""
    held = on_the_bus(site)
    for name in devices:
        if said := shared(f"Modbus device {name}", name, held):
            yield name, said


def shared(what: str, name: str, held: Mapping[str, str]) -> str:
    """The sentence for a thing whose name another one has; "" if nobody has."""
    holder, part = held.get(name, ""), _PART.fullmatch(name)
    other = holder if holder != what else ""
    other = other or RESERVED.get(name, "")
    other = other or next((whose for prefix, whose in PREFIXES.items() if name.startswith(prefix)), "")
    if not other and part is not None:
        whole = held.get(part["whole"], "")
        other = f"a part of {whole}" if whole.startswith(("module ", "concentrator ", "balance group ")) else ""
    for suffix, (kind, said) in SUFFIXES.items():
        whose = held.get(name.removesuffix(suffix), "") if name.endswith(suffix) else ""
        if not other and whose.startswith(kind):
            other = f"{said} {whose}"
    if not other:
        return ""
    return f"{what} and {other} share a name; expected another one, for whatever has tags needs its own"


def one_of(kind: str) -> str:
    return kind.removesuffix("s").replace("_", " ")
