"""Gives the loop its turn back between the frames of a large command: nothing else waits for 14,000 concentrators."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from twisted.internet.defer import Deferred

from scada.dr_dispatch.book import Reactor

A_TURN: Final = 64                      # frames that leave in one turn of the loop
T = TypeVar("T")


def batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """What may leave in one turn, turn by turn."""
    return (items[at : at + A_TURN] for at in range(0, len(items), A_TURN))


def next_turn(reactor: Reactor) -> "Deferred[None]":
    turn: Deferred[None] = Deferred()
    reactor.callLater(0, lambda: turn.callback(None))
    return turn
