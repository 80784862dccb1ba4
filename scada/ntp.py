"""Whether the operating system says that this machine's clock is synchronised."""

import ctypes
import sys
from typing import Final

TIMEX_BYTES: Final = 256               # larger than any struct timex; zeroed, so `modes` = 0: only read
TIME_ERROR: Final = 5                  # adjtimex(2): "the system clock is not synchronized to a reliable server"


def synchronised() -> bool:
    """Ask the kernel (adjtimex with no change); False where it cannot be asked."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        state = int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES)))
    except (OSError, AttributeError):
        return False
    return 0 <= state != TIME_ERROR
