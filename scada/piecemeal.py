"""Work on the loop in pieces: between them everybody else has a turn."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from twisted.internet.task import deferLater

T = TypeVar("T")


async def in_turns(reactor: Any, what: Callable[[T], object], of: Iterable[T], each: int) -> None:
    """Do something with every one, `each` of them in a turn of the loop; what it raises ends it."""
    for number, one in enumerate(of):
        if number and number % each == 0:
            await deferLater(reactor, 0)
        what(one)
