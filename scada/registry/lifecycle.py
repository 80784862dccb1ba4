"""The life of a radio module, as one table; the picture in docs/guide/site-file.md is drawn from it."""

from enum import Enum
from typing import Final

from scada.site import ModuleState


class Happening(Enum):
    HEARD = "heard"                     # announced itself where an engineer adopts
    WELCOMED = "welcomed"               # announced itself where the concentrator adopts by itself
    BEGUN = "begun"                     # a person has begun to put it into service
    ADOPTED = "adopted"                 # an engineer adopts it
    SILENT = "silent"                   # its concentrator has lost it
    BACK = "back"                       # its concentrator hears it again
    DISPLACED = "displaced"             # the radio gave its index to another module
    REPLACED = "replaced"               # another module has taken its place
    RETIRED = "retired"                 # taken out of service, and nothing in its place


_S, _H = ModuleState, Happening
TRANSITIONS: Final[dict[tuple[ModuleState, Happening], ModuleState]] = {
    (_S.PLANNED, _H.HEARD): _S.DISCOVERED,
    (_S.PLANNED, _H.WELCOMED): _S.ACTIVE,
    (_S.PLANNED, _H.BEGUN): _S.COMMISSIONING,
    (_S.PLANNED, _H.RETIRED): _S.RETIRED,
    (_S.DISCOVERED, _H.HEARD): _S.DISCOVERED,
    (_S.DISCOVERED, _H.WELCOMED): _S.ACTIVE,
    (_S.DISCOVERED, _H.BEGUN): _S.COMMISSIONING,
    (_S.DISCOVERED, _H.ADOPTED): _S.ACTIVE,
    (_S.DISCOVERED, _H.DISPLACED): _S.DISCOVERED,
    (_S.DISCOVERED, _H.RETIRED): _S.RETIRED,
    (_S.COMMISSIONING, _H.HEARD): _S.COMMISSIONING,     # whoever has begun says when it is done
    (_S.COMMISSIONING, _H.WELCOMED): _S.COMMISSIONING,
    (_S.COMMISSIONING, _H.ADOPTED): _S.ACTIVE,
    (_S.COMMISSIONING, _H.DISPLACED): _S.COMMISSIONING,
    (_S.COMMISSIONING, _H.REPLACED): _S.REPLACED,
    (_S.COMMISSIONING, _H.RETIRED): _S.RETIRED,
    (_S.ACTIVE, _H.HEARD): _S.ACTIVE,
    (_S.ACTIVE, _H.WELCOMED): _S.ACTIVE,
    (_S.ACTIVE, _H.SILENT): _S.LOST,
    (_S.ACTIVE, _H.DISPLACED): _S.LOST,
    (_S.ACTIVE, _H.REPLACED): _S.REPLACED,
    (_S.ACTIVE, _H.RETIRED): _S.RETIRED,
    (_S.LOST, _H.BACK): _S.ACTIVE,
    (_S.LOST, _H.HEARD): _S.LOST,       # the list still names it: only its own voice (BACK) counts
    (_S.LOST, _H.WELCOMED): _S.LOST,
    (_S.LOST, _H.DISPLACED): _S.LOST,
    (_S.LOST, _H.REPLACED): _S.REPLACED,
    (_S.LOST, _H.RETIRED): _S.RETIRED,
}


def after(state: ModuleState, happening: Happening) -> ModuleState | None:
    """The state that follows; None where this cannot happen."""
    return TRANSITIONS.get((state, happening))
