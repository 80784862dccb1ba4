"""Small things on arrays that numpy does more slowly than it must."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


def distinct(values: NDArray[T]) -> NDArray[T]:
    """
    What stands in an array, each once, ascending; not for NaN.

    `np.unique` of numpy 2.3 and later puts integers into a hash table and holds the interpreter for it: 160 ms for 200,000
    of them, where sorting takes 3 ms and lets others run.
    """
    found = np.sort(values, axis=None)
    keep = np.ones(len(found), np.bool_)
    np.not_equal(found[1:], found[:-1], out=keep[1:])
    return found[keep]
