"""What an outage is: who is out, since when, and what is likely to be the cause. Values that everybody speaks of."""

from enum import StrEnum

import attrs


class Scope(StrEnum):
    """What has likely failed, from the smallest to the largest."""

    MODULE = "module"
    RELAY = "relay"                     # a module, and those that were heard through it
    PARTITION = "partition"             # branches of a concentrator's radio network that have no relay in common
    RISER = "riser"
    BUILDING = "building"               # the site's entry
    CONCENTRATOR = "concentrator"       # its supply
    BACKHAUL = "backhaul"               # between one or several concentrators and the server


@attrs.frozen
class Outage:
    """One cause and everybody who is out because of it."""

    id: str                             # of its alarm: "<source>:outage_<scope>"
    scope: Scope
    subject: str                        # module, building, riser or concentrators
    area: str
    since: int                          # ns, site time of the first sign
    members: tuple[str, ...]            # modules that were out, all that ever were
    consumers: int                      # whom they serve
    cause: str                          # one plain sentence
    evidence: tuple[str, ...]           # plain sentences
    also: tuple[str, ...] = ()          # other causes that would explain most of it, likeliest first
    confidence: float = 0.0             # 0-1, a rank and no probability
    left: int = 0                       # members that are out now
    until: int = 0                      # ns; 0: it goes on
    merged: str = ""                    # id of the outage that turned out to be the cause of this one
