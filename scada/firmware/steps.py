"""What one concentrator is to be sent next, from what it has said in this session: pure. Nothing is sent blindly.

    ask how its devices stand ──▶ offer ──▶ blocks it lacks ──▶ verify who is complete ──▶ activate who is verified
"""

from collections.abc import Mapping
from typing import Final

import attrs

from scada.rollout import Lack, UpdateState

AGAIN_S: Final = 300.0                  # real time after which VERIFY or ACTIVATE is told again to who has not moved
ACCOUNT_S: Final = 120.0                # real time after which an offer whose FW_MISSING never came is made again


@attrs.frozen
class Ask:
    """GET_FW_STATUS."""


@attrs.frozen
class Offer:
    modules: frozenset[int]             # EUIs


@attrs.frozen
class Block:
    number: int


@attrs.frozen
class Verify:
    modules: frozenset[int]


@attrs.frozen
class Activate:
    modules: frozenset[int]


Step = Ask | Offer | Block | Verify | Activate


@attrs.define
class Subnet:
    """What is known of one concentrator in its present session; a new session begins with a new one."""

    answered: bool = False              # how its devices stand
    offered: frozenset[int] = frozenset()
    offered_at: float = 0.0             # real time, monotonic [s]
    lack: Lack | None = None            # what its own store lacks, from FW_MISSING after our offer
    next_block: int = 0                 # of those not sent since that account
    denied: bool = False                # the last offer, whole, for one module that was named in it
    told: dict[tuple[type[Verify] | type[Activate], int], float] = attrs.field(factory=dict)


def next_step(subnet: Subnet, wanted: Mapping[int, UpdateState], now: float) -> Step | None:
    """The next thing to send, None where the field has the word. `now`: real time, monotonic [s]"""
    if not wanted:
        return None
    if not subnet.answered:
        return Ask()
    silent = subnet.lack is None and now - subnet.offered_at > ACCOUNT_S
    if silent or not wanted.keys() <= subnet.offered:
        return Offer(frozenset(wanted))
    if subnet.lack is None:
        return None
    if (number := first_from(subnet.lack.blocks, subnet.next_block)) is not None:
        return Block(number)
    verify = _untold(subnet, Verify, wanted, UpdateState.COMPLETE, now)
    if verify:
        return Verify(verify)
    activate = _untold(subnet, Activate, wanted, UpdateState.VERIFIED, now)
    return Activate(activate) if activate else None


def first_from(bitmap: bytes, start: int) -> int | None:
    """Number of the first bit that is set, from `start` on, least significant first."""
    rest = int.from_bytes(bitmap, "little") >> start
    return start + (rest & -rest).bit_length() - 1 if rest else None


def _untold(
    subnet: Subnet, what: type[Verify] | type[Activate], wanted: Mapping[int, UpdateState], state: UpdateState, now: float
) -> frozenset[int]:
    """Modules in a state that were not told to go on, or so long ago that it was lost."""
    return frozenset(
        eui for eui, one in wanted.items() if one is state and now - subnet.told.get((what, eui), -AGAIN_S) >= AGAIN_S
    )
