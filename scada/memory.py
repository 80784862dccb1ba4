"""How much memory this process holds."""

import math
import resource
from typing import Final

PAGE_KB: Final = resource.getpagesize() / 1024


def resident_mb() -> float:
    """Resident memory of this process; NaN where the system does not say. [MB]"""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * PAGE_KB / 1024
    except OSError:
        return math.nan
