"""The way between a concentrator and its socket, where faults of the link are made: bytes in, bytes out. Pure.

Each piece that goes up is one frame, because a session writes frame by frame; what comes down comes as the network cuts it.
"""

from collections.abc import Callable, Iterable
from typing import Final

Bend = Callable[[bytes], Iterable[bytes]]   # what becomes of one piece: nothing, itself, others
Tap = Callable[[int, str, bytes], None]     # (connection, "open", "up", "down" or "close", bytes)
SEALED_AT: Final = 3                        # the byte of a frame with the flag SEC
SEC: Final = 0x80


def is_sealed(piece: bytes) -> bool:
    """Whether a piece begins with a frame after the handshake; faults leave the handshake alone unless they mean it."""
    return len(piece) > SEALED_AT and piece[:2] == b"DM" and bool(piece[SEALED_AT] & SEC)


class Line:
    """One concentrator's way to the server; outlives its connections."""

    def __init__(self) -> None:
        self.up: list[Bend] = []
        self.down: list[Bend] = []
        self.taps: list[Tap] = []
        self.bytes_per_s = 0.0              # 0: as fast as it goes
        self._free_at = 0.0
        self._connections = 0

    def opened(self) -> int:
        """A connection begins; its number."""
        self._connections += 1
        self.note(self._connections, "open")
        return self._connections

    def sent(self, piece: bytes, connection: int = 0) -> list[bytes]:
        """What arrives at the socket of a frame that the concentrator wrote."""
        pieces = [piece]
        for bend in tuple(self.up):
            pieces = [out for one in pieces for out in bend(one)]
        for one in pieces:
            self.note(connection, "up", one)
        return pieces

    def received(self, piece: bytes, connection: int = 0) -> list[bytes]:
        """What arrives at the concentrator of what the socket gave."""
        self.note(connection, "down", piece)
        pieces = [piece]
        for bend in tuple(self.down):
            pieces = [out for one in pieces for out in bend(one)]
        return pieces

    def note(self, connection: int, way: str, piece: bytes = b"") -> None:
        """Tell whoever listens in."""
        for tap in self.taps:
            tap(connection, way, piece)

    def wait(self, now: float, size: int) -> float:
        """How long a piece is under way on a slow line, behind those before it. [s]"""
        if not self.bytes_per_s:
            return max(0.0, self._free_at - now)
        self._free_at = max(self._free_at, now) + size / self.bytes_per_s
        return self._free_at - now
