"""The catalogue of faults: what each is called, what it does, what the server must show, and how it is begun."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import attrs

from scada.simulate.faults.expect import Expectation
from scada.simulate.faults.rig import Rig, Undo


class Kind(StrEnum):
    """What a fault befalls; also what has to be named as its target."""

    LINK = "link"                       # a concentrator's way to the server
    CONCENTRATOR = "concentrator"
    MODULE = "module"                   # a module of a concentrator
    METER = "meter"                     # the first pulse input of a module
    ACTUATOR = "actuator"               # the secondary load of a module
    SUPPLY = "supply"                   # the whole supply behind a module


@attrs.frozen
class Fault:
    """One way of going wrong."""

    name: str
    kind: Kind
    does: str                           # one sentence
    shows: str                          # one sentence: the outcome the server must show
    expect: tuple[Expectation, ...]     # the same for machines
    begin: Callable[[Rig], Undo]
    command: str = ""                   # one of `NEEDS`: a group command, or a campaign, belongs to it
    complete: bool = True               # afterwards no reading is missing at the server
    lasts_h: float = 3.0                # how long it has to last to be seen, site time
    settled_h: float = 2.5              # and how long all has to be well before
    modules: int = 0                    # that the concentrator has to have
    live: bool = False                  # shown by the real server alone: no head-end in virtual time has what it takes

    @property
    def needs(self) -> str:
        """What people have to do for it, in words; "" if nothing."""
        there = f"Take a concentrator of {self.modules} modules or more." if self.modules else ""
        return f"{NEEDS[self.command]} {there}".strip()

    @property
    def takes_module(self) -> bool:
        return self.kind in (Kind.MODULE, Kind.METER, Kind.ACTUATOR, Kind.SUPPLY)


NEEDS: Final = {
    "": "",
    "during": "Shed a load group while it lasts.",
    "before": "Shed a load group first.",
    "twice": "Shed a load group twice at once.",
    "campaign": "Run a firmware campaign while it lasts.",
    "supply": "Disconnect the supply of the module while it lasts (two persons).",
    "rotate": "Change the concentrator's link key while it lasts (scada keys rotate).",
}
CATALOGUE: dict[str, Fault] = {}


def fault(
    name: str, kind: Kind, *, does: str, shows: str, expect: tuple[str, ...], command: str = "", complete: bool = True,
    lasts_h: float = 3.0, settled_h: float = 2.5, modules: int = 0,
    live: bool = False,
) -> Callable[[Callable[[Rig], Undo]], Callable[[Rig], Undo]]:
    """Enter a function in the catalogue."""

    def enter(begin: Callable[[Rig], Undo]) -> Callable[[Rig], Undo]:
        if name in CATALOGUE:
            raise ValueError(f"two faults are called {name}")
        wanted = tuple(Expectation.read(one) for one in expect)
        CATALOGUE[name] = Fault(
            name, kind, does, shows, wanted, begin, command, complete, lasts_h, settled_h, modules, live
        )
        return begin

    return enter
