"""What was wrong with bytes from outside: a value, because malformed input is ordinary radio weather."""

from enum import StrEnum

import attrs


class Reject(StrEnum):
    """Kinds of refusal; each is one counter in health."""

    NOISE = "noise"                     # bytes between frames
    HEADER_CRC = "header_crc"           # a magic that began no frame
    VERSION = "version"                 # another major version
    FLAGS = "flags"                     # reserved bits set: written by a later protocol
    TOO_LONG = "too_long"               # longer than was agreed
    FRAME_CRC = "frame_crc"
    CRYPTO = "crypto"                   # does not open: wrong key or tampered with
    REPLAY = "replay"                   # counter did not grow
    CBOR = "cbor"                       # not one well-formed item of the subset that is allowed
    MESSAGE = "message"                 # not [type, corr, map]
    UNKNOWN_TYPE = "unknown_type"
    FIELD = "field"                     # a field is missing, of another type or out of range
    BLOCK = "block"                     # a PROFILE block that cannot be used


@attrs.frozen
class Rejected:
    """One piece of input that cannot be used, and why; never an exception."""

    reason: Reject
    detail: str = ""                    # one plain sentence, without secrets and without the input itself
    count: int = 1                      # of them in a row; for noise, bytes
    type: int = 0                       # message type and corr, where they could still be read: for ERROR
    corr: int = 0
    record: int = 0                     # number of the archive record it is, where that could still be read: it may not
    body: bytes = attrs.field(default=b"", repr=False)      # block the cursor, so its body is kept as evidence
