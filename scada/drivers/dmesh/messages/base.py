"""What every message is made of: its base class, the register of types, the kinds of field that many share."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Final, TypeVar

from scada.drivers.dmesh.numbers import BITMAP, MAX_MODULES, Type
from scada.drivers.dmesh.wire import Flag, Int, Octets

U8 = Annotated[int, Int(0, 0xFF)]
U16 = Annotated[int, Int(0, 0xFFFF)]
U32 = Annotated[int, Int(0, 0xFFFF_FFFF)]
U64 = Annotated[int, Int(0, 0xFFFF_FFFF_FFFF_FFFF)]
Number = Annotated[int, Int(0, 0x7FFF_FFFF_FFFF_FFFF)]       # of records and events: what every database can hold
Seconds = Annotated[int, Int(0, 0x1_FFFF_FFFF)]             # UTC, since 1970; until 2242, so that ns fit 63 bits
Hour = Annotated[int, Int(0, 0x0FFF_FFFF)]                  # UTC, since 1970
Index = Annotated[int, Int(1, MAX_MODULES)]                 # of a module in its subnet
Parent = Annotated[int, Int(0, MAX_MODULES)]                # 0: the concentrator itself
Dbm = Annotated[int, Int(-200, 50)]
Level = Annotated[int, Int(0, 64)]
Bool = Annotated[bool, Flag()]
Nonce = Annotated[bytes, Octets(16, 16)]
Mac = Annotated[bytes, Octets(16, 16)]
Mac64 = Annotated[bytes, Octets(8, 8)]
CommandId = Annotated[bytes, Octets(16, 16)]
ReadId = Annotated[bytes, Octets(16, 16)]
ImageId = Annotated[bytes, Octets(8, 8)]                    # `firmware.image_id`
Bitmap = Annotated[bytes, Octets(BITMAP, BITMAP)]
NONE: Final = bytes(BITMAP)


class Message:
    """Base of every message; `TYPE` is its number on the wire."""

    __slots__ = ()
    TYPE: ClassVar[Type]


M = TypeVar("M", bound=Message)
BY_TYPE: Final[dict[int, type[Message]]] = {}


def numbered(number: Type) -> Callable[[type[M]], type[M]]:
    """Give a message class its type number and enter it into `BY_TYPE`."""

    def enter(cls: type[M]) -> type[M]:
        cls.TYPE = number
        BY_TYPE[number] = cls
        return cls

    return enter
