"""Fakes shared by the tests: a site clock that only moves when told, and values that are quick to make."""

import struct
import zlib
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure

from scada.clock import NS, SiteClock, TimeMap

NOON = 1_767_261_600                    # 2026-01-01T10:00:00Z, a full hour


def site_clock(reactor: Clock | None = None, start: int = NOON, rate: float = 1.0, *, trusted: bool = True) -> SiteClock:
    """A `SiteClock` that follows a Twisted test clock; site time starts at `start` [s since 1970]."""
    driven = reactor or Clock()
    return SiteClock(
        TimeMap(real0=0, site0=start * NS, rate=rate),
        real=lambda: round(driven.seconds() * NS),
        monotonic=driven.seconds,
        trusted=lambda: trusted,
    )


class LoopClock(Clock):
    """A test clock that also takes calls "from threads": they run at once, for there are none."""

    def callFromThread(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        call(*args, **kwargs)


class InlinePool:
    """A thread pool without threads: the work is done when it is asked for, so a test sees it happen."""

    def callInThreadWithCallback(
        self, on_result: Callable[[bool, Any], None], work: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        try:
            result = work(*args, **kwargs)
        except Exception:
            on_result(False, Failure())
        else:
            on_result(True, result)


def png(width: int, height: int, *extra: tuple[bytes, bytes]) -> bytes:
    """A grey picture, with more chunks (name, data) in it if wanted."""
    rows = b"".join(b"\x00" + b"\x80" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
