"""How a group's key travels to its members: one by one over the radio, each unwrapping its own, each saying so.

The key goes the way of every packet, so a module that hears a command has met its parent before and has the key by then.
A concentrator that was never asked to hand a key on is taken to have done so long ago.
"""

from collections.abc import Callable, Mapping
from typing import Final

import attrs
import numpy as np

from scada.drivers.dmesh import crypto, sets
from scada.drivers.dmesh.keyring import Ring
from scada.drivers.dmesh.messages import KeyHeld, KeyMembers, MemberKey, Refusal
from scada.drivers.dmesh.numbers import Code
from scada.drivers.dmesh.simulator.mesh import Mesh

GIVE_UP_S: Final = 180.0                    # site time from KEY_MEMBERS to the last word about it
COALESCE_S: Final = 2.0
UNDER_WAY: Final = 8                        # KEY_MEMBERS at once
Place = tuple[int, int]                     # group, epoch


@attrs.define(eq=False)
class Delivery:
    """One KEY_MEMBERS."""

    place: Place
    keys: dict[int, MemberKey]
    held: set[int] = attrs.field(factory=set)
    refused: dict[int, Code] = attrs.field(factory=dict)
    final: bool = False
    due: bool = False                       # a report is

    def report(self) -> KeyHeld:
        refused = tuple(Refusal(index, int(code)) for index, code in sorted(self.refused.items()))
        return KeyHeld(*self.place, sets.bitmap(self.held), refused, self.final)


class Handing:
    """Of one subnet. All times are site time. [s since 1970]"""

    def __init__(
        self,
        groups: Mapping[Place, bytes],                      # the keys that KEY_PUT brought
        rings: Callable[[int], Ring | None],                # of a module's own keys, by EUI
        euis: Callable[[], Mapping[int, int]],
        mesh: Callable[[], Mesh],
        rng: np.random.Generator,
        is_reachable: Callable[[int, float], bool],
        at: Callable[[float, Callable[[float], None]], None],
        tell: Callable[[KeyHeld], None],
    ) -> None:
        self._groups, self._rings, self._euis, self._mesh, self._rng = groups, rings, euis, mesh, rng
        self._is_reachable, self._at, self._tell = is_reachable, at, tell
        self.lacking: dict[Place, set[int]] = {}            # indices that were to get a key and have it not yet
        self._holding: dict[bytes, set[int]] = {}           # key -> indices that were given it one by one
        self.deaf: set[int] = set()                         # modules that do not hear of their group's newest epoch
        self._under_way: list[Delivery] = []

    def lacks(self, index: int, place: Place) -> bool:
        return index in self.lacking.get(place, ())

    def newcomer(self, index: int) -> None:
        """Another module has this index: it holds no key of any group."""
        for holders in self._holding.values():
            holders.discard(index)
        for place in self._groups:
            self.lacking.setdefault(place, set()).add(index)

    def take(self, message: KeyMembers, now: float) -> Code:
        """Begin to hand a key on, or say why not."""
        place = (message.group, message.epoch)
        if place not in self._groups:
            return Code.UNKNOWN
        euis = self._euis()
        if any(euis.get(one.index) != one.eui for one in message.members):
            return Code.INTERLOCK
        if sum(not one.final for one in self._under_way) >= UNDER_WAY:
            return Code.BUSY
        delivery = Delivery(place, {one.index: one for one in message.members})
        self._under_way = [*(one for one in self._under_way if not one.final), delivery]
        self.lacking.setdefault(place, set()).update(delivery.keys.keys() - self._holding.get(self._groups[place], set()))
        mesh = self._mesh()
        down, up = mesh.draw_latency(self._rng, now), mesh.draw_latency(self._rng, now)
        place_of = {int(index): number for number, index in enumerate(mesh.index)}
        for index in sorted(delivery.keys):
            there, back = float(down[place_of[index]]), float(up[place_of[index]])
            if np.isfinite(there):
                self._schedule(delivery, index, now + there, back)
        self._at(now + GIVE_UP_S, lambda at: self._finish(delivery, at))
        return Code.ACCEPTED

    def meet(self, index: int, now: float) -> None:
        """A module is heard from: whatever waits for it at its parent is there first."""
        for one in self._under_way:
            if not one.final and index in one.keys and self.lacks(index, one.place):
                self._arrive(one, index, now, 0.0)

    def restart(self) -> None:
        """The concentrator forgot what it was handing on; what the modules have they have."""
        self._under_way.clear()

    # ------------------------------------------------------------------ private
    def _schedule(self, delivery: Delivery, index: int, heard: float, back: float) -> None:
        self._at(heard, lambda at: self._arrive(delivery, index, at, back))

    def _arrive(self, delivery: Delivery, index: int, now: float, back: float) -> None:
        if delivery not in self._under_way or index in self.deaf or not self._is_reachable(index, now):
            return
        code = self._judged(delivery, delivery.keys[index])
        if code is Code.OK:
            self.lacking[delivery.place].discard(index)
            self._holding.setdefault(self._groups[delivery.place], set()).add(index)
        if np.isfinite(back):
            self._at(now + back, lambda at: self._answer(delivery, index, code, at))

    def _judged(self, delivery: Delivery, key: MemberKey) -> Code:
        """Unwrapped with the key the module holds, it must be what the concentrator was given."""
        wanted = self._groups.get(delivery.place)
        if wanted is None:
            return Code.UNKNOWN
        if not key.wrapped:
            return Code.OK
        ring = self._rings(key.eui)
        held = [] if ring is None else [one.secret for one in (ring.new, ring.active, ring.old) if one is not None]
        opened = [crypto.unwrap(secret, key.wrapped) for secret in held]
        return Code.OK if wanted in opened else Code.CRYPTO

    def _answer(self, delivery: Delivery, index: int, code: Code, now: float) -> None:
        if delivery.final or index in delivery.held:
            return
        if code is Code.OK:
            delivery.held.add(index)
            delivery.refused.pop(index, None)
        else:
            delivery.refused[index] = code
        if not delivery.due:
            delivery.due = True
            self._at(now + COALESCE_S, lambda at: self._report(delivery))

    def _report(self, delivery: Delivery) -> None:
        delivery.due = False
        if delivery.final or delivery not in self._under_way:
            return
        delivery.final = len(delivery.held) + len(delivery.refused) == len(delivery.keys)
        self._tell(delivery.report())

    def _finish(self, delivery: Delivery, now: float) -> None:
        if not delivery.final and delivery in self._under_way:
            delivery.final = True
            self._tell(delivery.report())
