"""Link (0x01): the handshake, the end, signs of life, and the plain answers."""

from typing import Annotated

import attrs

from scada.drivers.dmesh.messages.base import U8, U16, U32, Bool, Message, Nonce, Number, Seconds, numbered
from scada.drivers.dmesh.numbers import Type
from scada.drivers.dmesh.wire import Int, Octets, Text


@numbered(Type.HELLO)
@attrs.frozen
class Hello(Message):
    """First word of a concentrator, in plain."""

    min_version: Annotated[U8, 0]
    max_version: Annotated[U8, 1]
    link_id: Annotated[U32, 2]
    boot_id: Annotated[U32, 5]                                          # another number after every restart
    archive_id: Annotated[U32, 6]                                       # another number after every loss of the archive
    max_frame: Annotated[int, Int(256, 16384), 8]
    nonce: Annotated[Nonce, 11]
    model: Annotated[str, Text(32), 3] = ""
    firmware: Annotated[str, Text(32), 4] = ""
    capabilities: Annotated[U32, 7] = 0                                 # `Capability`
    t1: Annotated[U16, 9] = 15                                          # s, wanted
    t3: Annotated[U16, 10] = 20                                         # s, wanted
    oldest: Annotated[Number, 12] = 0                                   # archive records held; 0 and 0: none
    newest: Annotated[Number, 13] = 0
    newest_event: Annotated[Number, 14] = 0


@numbered(Type.CHALLENGE)
@attrs.frozen
class Challenge(Message):
    """The server's terms and its proof, in plain."""

    version: Annotated[U8, 0]
    t1: Annotated[U16, 1]                                               # s
    t3: Annotated[U16, 2]                                               # s
    max_frame: Annotated[int, Int(256, 16384), 3]
    nonce: Annotated[Nonce, 4]
    mac: Annotated[bytes, Octets(16, 16), 5] = b""                      # mandatory on the wire


@numbered(Type.AUTH)
@attrs.frozen
class Auth(Message):
    """The concentrator's proof, in plain."""

    mac: Annotated[bytes, Octets(16, 16), 0] = b""                      # mandatory on the wire


@numbered(Type.READY)
@attrs.frozen
class Ready(Message):
    """The session is up; first sealed message."""

    time: Annotated[Seconds, 0]
    archive_cursor: Annotated[Number, 1]                                # highest record durably held; go on behind it
    event_cursor: Annotated[Number, 2]                                  # highest event the server remembers; 0: none
    credit: Annotated[int, Int(1, 64), 3]                               # unacknowledged records allowed under way
    time_good: Annotated[Bool, 4] = False


@numbered(Type.CLOSE)
@attrs.frozen
class Close(Message):
    reason: Annotated[U8, 0]                                            # `Reason`
    text: Annotated[str, Text(200), 1] = ""
    retry_after: Annotated[U32, 2] = 0                                  # s


@numbered(Type.PING)
@attrs.frozen
class Ping(Message):
    time: Annotated[Seconds, 0]


@numbered(Type.PONG)
@attrs.frozen
class Pong(Message):
    time: Annotated[Seconds, 0]                                         # of the PING
    own: Annotated[Seconds, 1]
    time_good: Annotated[Bool, 2] = False
    own_ms: Annotated[int, Int(0, 999), 3] = 0                          # of `own`; 0 also where only seconds are known


@numbered(Type.ERROR)
@attrs.frozen
class Error(Message):
    """A message could not be understood."""

    code: Annotated[U8, 0]                                              # `Code`
    text: Annotated[str, Text(200), 1] = ""
    type: Annotated[U16, 2] = 0                                         # of the message complained of


@numbered(Type.RESULT)
@attrs.frozen
class Result(Message):
    """Plain answer to a request that has none of its own."""

    code: Annotated[U8, 0]                                              # `Code`
    retry_after: Annotated[U32, 1] = 0                                  # s, with BUSY
    text: Annotated[str, Text(200), 2] = ""


@numbered(Type.WAKE)
@attrs.frozen
class Wake(Message):
    """Asks the concentrator of this link id for its HELLO, in plain; on a shared serial line nobody speaks unasked."""

    link_id: Annotated[U32, 0]
