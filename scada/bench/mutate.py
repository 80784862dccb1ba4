"""Makes inputs nobody would send on purpose: valid DMLP frames and bodies, spoilt with knowledge of their structure.

Everything follows from the seed. Valid messages are made from the layouts of the classes themselves, so that a new type or
field is spoilt without being listed here.
"""

import binascii
import random
import struct
import zlib
from typing import Any, Final

from scada.bench.decode import sample
from scada.drivers.dmesh import crypto, frame, messages, profile, wire
from scada.drivers.dmesh.frame import Frame

VALID_A_TYPE: Final = 6                 # messages of each type to begin from
KEYS: Final = crypto.session_keys(bytes(range(16)), bytes(16), bytes(16))
LINK_ID: Final = 0x00010203
NASTY: Final[tuple[Any, ...]] = (
    0, 1, -1, 255, 256, 2**16, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -(2**31), -(2**63), True, False, None,
    1.5, float("nan"), float("inf"), -0.0, 1e308, "", "x" * 300, "țșă", "\x00", b"", bytes(8), bytes(29), bytes(31),
    b"\xff" * 600, [], [0] * 300, [[[[[[[]]]]]]], {}, {0: {0: {0: {}}}}, {"0": 1}, [{}], [None],
)


class Mutator:
    """An endless supply of bodies and byte streams, most of them wrong in one or two places."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._block = profile.encode(sample(seed, channels=6, hours=4))
        self._items: list[list[Any]] = [
            [number, self._dice.choice((0, 1, 2**32 - 1)), wire.dump_fields(self._valid(cls))]
            for number, cls in sorted(messages.BY_TYPE.items()) for _ in range(VALID_A_TYPE)
        ]
        self._bodies = [wire.pack(item) for item in self._items]

    def body(self) -> bytes:
        """A message body: its structure altered and well packed, or its bytes spoilt, or no body at all."""
        dice = self._dice.random()
        if dice < 0.55:
            return wire.pack(self._altered_message())
        if dice < 0.9:
            return self._spoilt(self._dice.choice(self._bodies))
        return self._dice.randbytes(self._dice.randrange(120))

    def stream(self) -> bytes:
        """What a line might bring: frames and noise, some with their checksums made right again after the harm."""
        parts = []
        for _ in range(self._dice.randint(1, 3)):
            dice = self._dice.random()
            if dice < 0.2:
                parts.append(self._noise())
            elif dice < 0.45:
                parts.append(self._spoilt(self._frame()))
            elif dice < 0.65:
                parts.append(self._forged())
            else:
                parts.append(self._frame())
        return b"".join(parts)

    def pieces(self, data: bytes) -> list[bytes]:
        """The same bytes, as they may arrive."""
        cuts = sorted(self._dice.randrange(len(data) + 1) for _ in range(self._dice.choice((0, 0, 1, 3))))
        return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    # ------------------------------------------------------------------ valid ones
    def _valid(self, cls: type[Any]) -> Any:
        return cls(**{place.name: self._value(place.kind) for place in wire.places(cls)})

    def _value(self, kind: Any) -> Any:
        dice = self._dice
        match kind:
            case wire.Int(low, high):
                return dice.choice((low, high, dice.randint(low, high)))
            case wire.Choice(of, only):
                return dice.choice(only or tuple(of))
            case wire.Flag():
                return dice.random() < 0.5
            case wire.Real():
                return dice.choice((0.0, 21.5, dice.uniform(-1e6, 1e6)))
            case wire.Text(most) | wire.Scalar(most):
                return "".join(dice.choice("aZ0 ț°") for _ in range(dice.randint(0, min(most, 8))))
            case wire.Octets(least, most):
                return dice.randbytes(dice.randint(least, min(most, least + 40)))
            case wire.Many(of, most):
                count = dice.randint(0, min(most, 3))
                return tuple(self._valid(of) if isinstance(of, type) else self._value(of) for _ in range(count))
            case wire.Anything():
                return self._block
        raise AssertionError(kind)

    # -------------------------------------------------------------- structure
    def _altered_message(self) -> list[Any]:
        number, corr, content = self._dice.choice(self._items)
        dice = self._dice.random()
        if dice < 0.04:
            return self._dice.choice(([], [number], [number, corr], [number, corr, content, 0], [content, corr, number]))
        if dice < 0.1:
            number, corr = self._dice.choice(((self._nasty(), corr), (number, self._nasty()), (number + 1, corr)))
            return [number, corr, content]
        for _ in range(self._dice.choice((1, 1, 1, 2))):
            content = self._altered(content)
        return [number, corr, content]

    def _altered(self, value: Any) -> Any:
        """The value with one thing in it changed; copied along the way to it only."""
        dice = self._dice.random()
        match value:
            case dict() if value and dice < 0.85:
                key = self._dice.choice(tuple(value))
                if dice < 0.1:
                    return {one: inner for one, inner in value.items() if one != key}
                if dice < 0.2:
                    return value | {self._dice.choice((-1, 0, 1, 7, 12, 99, "0")): self._nasty()}
                return value | {key: self._altered(value[key])}
            case list() if value and dice < 0.85:
                at = self._dice.randrange(len(value))
                if dice < 0.1:
                    return value * self._dice.choice((2, 100))
                return [*value[:at], self._altered(value[at]), *value[at + 1:]]
            case bytes() if dice < 0.7:
                return self._spoilt(value)
            case int() if dice < 0.6:
                return value + self._dice.choice((-1, 1, 256, -256))
        return self._nasty()

    def _nasty(self) -> Any:
        return self._dice.choice(NASTY)

    # ------------------------------------------------------------------ bytes
    def _spoilt(self, data: bytes) -> bytes:
        spoilt = bytearray(data)
        for _ in range(self._dice.choice((1, 1, 2, 4))):
            at = self._dice.randrange(len(spoilt) + 1)
            match self._dice.randrange(6):
                case 0 if at < len(spoilt):
                    spoilt[at] ^= 1 << self._dice.randrange(8)
                case 1 if at < len(spoilt):
                    spoilt[at] = self._dice.choice((0x00, 0x1B, 0x3B, 0x5B, 0x5F, 0x7F, 0x9B, 0x9F, 0xBF, 0xC0, 0xF9, 0xFF))
                case 2:
                    del spoilt[at:]
                case 3:
                    del spoilt[at:at + self._dice.randint(1, 8)]
                case 4:
                    spoilt[at:at] = self._dice.randbytes(self._dice.randint(1, 8))
                case 5:
                    spoilt[at:at] = spoilt[at:at + self._dice.randint(1, 40)]
        return bytes(spoilt)

    def _noise(self) -> bytes:
        noise = self._dice.randbytes(self._dice.randrange(80))
        return noise + self._dice.choice((b"", b"D", b"DM", b"DMDM", b"DM\x10\x00", b"DM\x10\x80\xff\xff"))

    def _frame(self) -> bytes:
        body = self._dice.choice(self._bodies) if self._dice.random() < 0.5 else self.body()
        body = body[:frame.HIGHEST_MAX_FRAME - crypto.OVERHEAD]
        if self._dice.random() < 0.5:
            return frame.encode(Frame(LINK_ID, body))
        return frame.encode(crypto.seal(KEYS.to_server, crypto.TO_SERVER, KEYS.sid, self._dice.randrange(9), LINK_ID, body))

    def _forged(self) -> bytes:
        """A frame whose header or body lies, under checksums that hold."""
        whole = bytearray(self._frame()[:-frame.TRAILER])
        at = self._dice.randrange(2, min(len(whole), 40))
        whole[at] = self._dice.randrange(256)
        whole[10:12] = struct.pack(">H", binascii.crc_hqx(bytes(whole[:10]), 0xFFFF))
        return bytes(whole) + struct.pack(">I", zlib.crc32(whole))
