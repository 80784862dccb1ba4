"""File descriptors: every connection takes one, and the usual limit of 1024 is below what the listeners allow."""

import resource
from typing import Final

from scada.settings import Settings

HMI: Final = 1500                       # connections, as `hmi/service.py` bounds them
RESERVE: Final = 300                    # databases, journal, blocks, threads, the link to OPC UA, files of one request


def needed(settings: Settings) -> int:
    """Descriptors the main process may come to use when every listener is full."""
    return settings.dmesh.max_connections + HMI + len(settings.modbus.devices) + RESERVE


def shortage(limit: int, wanted: int) -> str:
    """What to tell the operator; "" when the limit is high enough."""
    if limit >= wanted:
        return ""
    return (
        f"only {limit} file descriptors for {wanted} that full listeners need: connections beyond it are refused "
        f"(raise LimitNOFILE or `ulimit -n`)"
    )


def raise_limit() -> int:
    """Raise the soft limit to the hard one; returns what is allowed now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):       # a sandbox may forbid it; then the old limit stands
        return soft
    return hard
