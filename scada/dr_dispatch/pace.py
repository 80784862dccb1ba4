"""Gives the loop its turn back between the frames of a large command: nothing else waits for 14,000 concentrators."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

from twisted.internet.defer import Deferred

from scada.dr_dispatch.book import Reactor

A_TURN: Final = 144                     # frames that leave in one turn of the loop
T = TypeVar("T")


def batches(items: Iterable[T]) -> Iterator[Sequence[T]]:
    """What may leave in one turn, turn by turn; made only when its turn comes."""
    left = iter(items)
    while batch := tuple(islice(left, A_TURN)):
        yield batch


def next_turn(reactor: Reactor) -> "Deferred[None]":
    turn: Deferred[None] = Deferred()
    reactor.callLater(0, lambda: turn.callback(None))
    return turn
