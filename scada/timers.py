"""What every shell does with a delayed call it no longer wants."""

from typing import Any


def cancel(call: Any) -> None:
    """Cancel a delayed call that may be none, or may have happened."""
    if call is not None and call.active():
        call.cancel()
