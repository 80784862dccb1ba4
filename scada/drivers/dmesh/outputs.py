"""What a session wants done: bytes to send, and what the service has to hear."""

from collections.abc import Iterable

import attrs

from scada.drivers.dmesh.messages import Hello, Packet
from scada.drivers.dmesh.numbers import Reason
from scada.drivers.dmesh.rejected import Rejected


@attrs.frozen
class Send:
    data: bytes


@attrs.frozen
class Up:
    """The concentrator proved its key."""

    hello: Hello


@attrs.frozen
class Delivered:
    """A message for the service; `body` is its CBOR, the evidence should it have to be quarantined."""

    packet: Packet
    body: bytes


@attrs.frozen
class Closed:
    """Nothing more will come or go."""

    reason: Reason
    text: str
    ours: bool                          # we ended it
    link_id: int | None                 # as claimed in HELLO
    was_up: bool


Output = Send | Up | Delivered | Closed | Rejected


def sends(outputs: Iterable[Output]) -> bytes:
    """Only the bytes of some outputs."""
    return b"".join(one.data for one in outputs if isinstance(one, Send))
