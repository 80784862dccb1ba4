"""Ports for servers that a test starts a moment later: nobody else takes them in between.

A port that the kernel chose is free when it is let go, but the kernel may give it to any connection that is opened before
the server listens, and one test here opens a thousand. It chooses from 32768 on; these are below, and of each worker of
pytest-xdist its own.
"""

import os
import random
import socket
from typing import Final

FIRST, LAST, WORKERS = 21_000, 32_000, 8                # none of the product's own default ports is among them
_PLACES: Final = (LAST - FIRST) // WORKERS
_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % WORKERS
_walked = random.SystemRandom().randrange(_PLACES)      # several runs on one machine


def free_port() -> int:
    """A port nobody listens on now, and none that was given out lately."""
    global _walked
    for _ in range(_PLACES):
        _walked = (_walked + 1) % _PLACES
        port = FIRST + _WORKER * _PLACES + _walked
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no free port")


def free_ports(count: int) -> list[int]:
    """So many, no two alike."""
    return [free_port() for _ in range(count)]
