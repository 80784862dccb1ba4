"""Which processes still live: one that has ended and waits to be buried by whoever adopted it does not."""

from collections.abc import Iterable

import psutil


def living(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; a zombie is for its (foster) parent to bury, which may take that one seconds."""
    return [one for one in processes if _lives(one)]


def told(processes: Iterable[psutil.Process]) -> list[str]:
    """The command lines of those that live, for a test's complaint."""
    lines = []
    for one in living(processes):
        try:
            lines.append(" ".join(one.cmdline()))
        except psutil.NoSuchProcess:                        # ended, or a zombie, since it was looked at
            continue
    return lines


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
