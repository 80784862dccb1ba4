"""Reckons with a radio tree as arrays: ways up, subtrees, and who cannot be done without. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

ROOT: Final = -1                        # the parent is the concentrator
NOWHERE: Final = -2                     # the parent is not known


def positions(index: NDArray[np.int64], parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """
    Return the row of every module's parent.

    Parameters
    ----------
    index : ndarray of int64, shape (n,)
        Subnet indices, each once.
    parent : ndarray of int64, shape (...)
        Subnet indices of parents; 0 is the concentrator.

    Returns
    -------
    row : ndarray of int64, shape (...)
        Rows of `index`; `ROOT` for the concentrator, `NOWHERE` where no module has that index.
    """
    size = int(max(index.max(initial=0), parent.max(initial=0))) + 1
    row = np.full(size, NOWHERE, dtype=np.int64)
    row[index] = np.arange(len(index))
    found = np.where(parent > 0, row[np.maximum(parent, 0)], NOWHERE)
    return np.where(parent == 0, ROOT, found)


def depths(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """
    Return the hops from every module to the concentrator.

    Parameters
    ----------
    parent : ndarray of int64, shape (n,)
        Rows of parents, `ROOT` or `NOWHERE`.

    Returns
    -------
    depth : ndarray of int64, shape (n,)
        1 below the concentrator; -1 where the way up ends nowhere or runs in a circle.

    Notes
    -----
    Pointer doubling: the number of steps is the logarithm of the size, whatever the shape of the tree.
    """
    n = len(parent)
    up = np.concatenate([np.where(parent == ROOT, n, np.where(parent < 0, n + 1, parent)), [n, n + 1]])
    hops = np.concatenate([np.ones(n, dtype=np.int64), [0, 0]])
    for _ in range(max(n, 1).bit_length() + 1):
        hops = hops + hops[up]
        up = up[up]
    return np.where(up[:n] == n, hops[:n], -1)


def below(parent: NDArray[np.int64], depth: NDArray[np.int64]) -> NDArray[np.int64]:
    """
    Return how many modules relay through each.

    Parameters
    ----------
    parent, depth : ndarray of int64, shape (n,)
        From `positions` and `depths`.

    Returns
    -------
    count : ndarray of int64, shape (n,)
        Size of the subtree without its top; modules without a way up are not counted anywhere.
    """
    count = np.zeros(len(parent), dtype=np.int64)
    for level in range(int(depth.max(initial=0)), 1, -1):
        rows = np.flatnonzero(depth == level)
        np.add.at(count, parent[rows], count[rows] + 1)
    return count


def stranded(parent: NDArray[np.int64], alternatives: NDArray[np.int64]) -> NDArray[np.int64]:
    """
    Return how many modules would have no way to the concentrator without each.

    Parameters
    ----------
    parent : ndarray of int64, shape (n,)
        Rows of parents, `ROOT` or `NOWHERE`.
    alternatives : ndarray of int64, shape (n, k)
        Rows of further parents a module would take, `ROOT`, or `NOWHERE` where it named fewer.

    Returns
    -------
    count : ndarray of int64, shape (n,)
        Modules other than itself that are cut off when it fails: more than 0 makes it a cut vertex of the graph of
        reported ways. A module that named no alternatives is taken to have none, so this is an upper bound.

    Notes
    -----
    All removals at once, as one boolean matrix that grows until nothing changes: n products at most, as many as
    the longest way has hops. For the 240 modules of a full subnet 10-60 ms on one slow core: work for a thread.
    """
    n = len(parent)
    ways = np.concatenate([parent[:, None], alternatives], axis=1)
    direct = (ways == ROOT).any(axis=1)
    can = np.zeros((n, n), dtype=np.float32)                # can[p, u]: u may hang on p
    child, slot = np.nonzero(ways >= 0)
    can[ways[child, slot], child] = 1.0
    reach = np.repeat(direct[None, :], n + 1, axis=0)       # row v: without module v; the last row: with all
    lost = np.zeros((n + 1, n), dtype=bool)
    lost[np.arange(n), np.arange(n)] = True
    reach &= ~lost
    while True:
        grown = (reach | ((reach.astype(np.float32) @ can) > 0)) & ~lost
        if (grown == reach).all():
            break
        reach = grown
    whole = reach[-1]
    return np.asarray((whole[None, :] & ~reach[:-1]).sum(axis=1) - whole, dtype=np.int64)
