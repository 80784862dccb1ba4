"""Keys and seals of DMLP: derivation, handshake MACs, AES-CCM of frames, CMAC-64 of group commands, key wrap.

Primitives are those of the `cryptography` package; this module only says what is computed over what
(docs/dmlp.md, "Keys"). Nothing here ever shows a key in its repr.
"""

import hashlib
import hmac
import struct
from collections.abc import Sequence
from typing import Final

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from scada.drivers.dmesh.frame import Frame, header
from scada.drivers.dmesh.rejected import Reject, Rejected

KEY: Final = 16                         # bytes of every key, nonce and full MAC
TAG: Final = 8                          # bytes of a frame's seal and of a group command's MAC
OVERHEAD: Final = 1 + 4 + TAG           # KEYID, CTR and the seal
LAST_COUNTER: Final = 0xFFFF_FFFF
TO_SERVER: Final = 0                    # DIR in the nonce
TO_CONCENTRATOR: Final = 1
ROLE_SERVER: Final = b"S"
ROLE_CONCENTRATOR: Final = b"C"

_BITS: Final = b"\x00\x80"              # SP 800-108: the output is 128 bits long
_PREFIX: Final = struct.Struct(">BI")   # KEYID, CTR
_NONCE: Final = struct.Struct(">IBII")  # LINK_ID, DIR, SID, CTR


def cmac(key: bytes, data: bytes) -> bytes:
    """CMAC-AES-128 (SP 800-38B), 16 bytes."""
    mac = CMAC(AES(key))
    mac.update(data)
    return mac.finalize()


def derive(key: bytes, label: bytes, context: bytes = b"") -> bytes:
    """One block of SP 800-108 in counter mode with CMAC-AES-128 as the function."""
    return cmac(key, b"\x01" + label + b"\x00" + context + _BITS)


def auth_key(link_key: bytes) -> bytes:
    """K_auth, under which both sides prove themselves."""
    return derive(link_key, b"DMLP1 auth")


def wrapping_key(link_key: bytes) -> bytes:
    """The KEK, under which KEY_PUT carries keys."""
    return derive(link_key, b"DMLP1 kek")


@attrs.frozen
class SessionKeys:
    """The keys of one session."""

    to_server: bytes = attrs.field(repr=False)
    to_concentrator: bytes = attrs.field(repr=False)
    sid: int                            # session id, part of every nonce; not secret


def session_keys(link_key: bytes, nonce_c: bytes, nonce_s: bytes) -> SessionKeys:
    """Keys both sides compute from the link key and the two nonces of the handshake."""
    context = nonce_c + nonce_s
    return SessionKeys(
        derive(link_key, b"DMLP1 c2s", context),
        derive(link_key, b"DMLP1 s2c", context),
        int.from_bytes(derive(link_key, b"DMLP1 sid", context)[:4], "big"),
    )


def handshake_mac(key: bytes, role: bytes, bodies: Sequence[bytes]) -> bytes:
    """MAC_S or MAC_C under K_auth; the last body is the MAC's own message encoded without its MAC field."""
    return cmac(key, b"DMLP1" + role + hashlib.sha256(b"".join(bodies)).digest())


def equal(one: bytes, other: bytes) -> bool:
    """Compare MACs in constant time."""
    return hmac.compare_digest(one, other)


def command_mac(group_key: bytes, body: bytes) -> bytes:
    """CMAC-64 of a group command under the group's key; `body` is its CBOR map without the MAC."""
    return cmac(group_key, body)[:TAG]


def wrap(link_key: bytes, key: bytes) -> bytes:
    """A key for KEY_PUT (RFC 3394), 24 bytes."""
    return aes_key_wrap(wrapping_key(link_key), key)


def unwrap(link_key: bytes, wrapped: bytes) -> bytes | Rejected:
    """The key of a KEY_PUT."""
    try:
        return aes_key_unwrap(wrapping_key(link_key), wrapped)
    except (InvalidUnwrap, ValueError):
        return Rejected(Reject.CRYPTO, "the wrapped key does not open")


def key_check(key: bytes) -> bytes:
    """What KEY_CONFIRM carries: proof that the sender holds the new key."""
    return cmac(key, b"DMLP1 confirm")[:TAG]


def seal(key: bytes, direction: int, sid: int, counter: int, link_id: int, body: bytes, key_id: int = 0) -> Frame:
    """A secured frame with `body` inside."""
    return _seal(AESCCM(key, tag_length=TAG), direction, sid, counter, link_id, body, key_id)


def unseal(key: bytes, direction: int, sid: int, frame: Frame) -> tuple[int, bytes] | Rejected:
    """(counter, body) of a secured frame."""
    return _unseal(AESCCM(key, tag_length=TAG), direction, sid, frame)


def _seal(cipher: AESCCM, direction: int, sid: int, counter: int, link_id: int, body: bytes, key_id: int = 0) -> Frame:
    prefix = _PREFIX.pack(key_id, counter)
    nonce = _NONCE.pack(link_id, direction, sid, counter)
    head = header(link_id, len(body) + OVERHEAD, secured=True)
    return Frame(link_id, prefix + cipher.encrypt(nonce, body, head + prefix), True, head)


def _unseal(cipher: AESCCM, direction: int, sid: int, frame: Frame) -> tuple[int, bytes] | Rejected:
    if not frame.secured or len(frame.body) < OVERHEAD:
        return Rejected(Reject.CRYPTO, "not a sealed frame")
    key_id, counter = _PREFIX.unpack_from(frame.body)
    if key_id:
        return Rejected(Reject.CRYPTO, f"key id {key_id} is not in use")
    nonce = _NONCE.pack(frame.link_id, direction, sid, counter)
    aad = frame.header + frame.body[:_PREFIX.size]
    try:
        return counter, cipher.decrypt(nonce, frame.body[_PREFIX.size:], aad)
    except InvalidTag:
        return Rejected(Reject.CRYPTO, "the seal does not hold")


class Channel:
    """One end of a secured session: its two keys, its two counters."""

    def __init__(self, keys: SessionKeys, link_id: int, *, server: bool) -> None:
        self._link_id, self._sid = link_id, keys.sid
        pair = (keys.to_concentrator, keys.to_server)
        # A cipher is made once a session: making it costs as much as a small frame.
        self._sealer, self._opener = (AESCCM(key, tag_length=TAG) for key in (pair if server else pair[::-1]))
        self._send_direction, self._receive_direction = (
            (TO_CONCENTRATOR, TO_SERVER) if server else (TO_SERVER, TO_CONCENTRATOR)
        )
        self._next, self._highest = 0, -1

    @property
    def exhausted(self) -> bool:
        """True once no counter is left: only a new session may go on."""
        return self._next > LAST_COUNTER

    def seal(self, body: bytes) -> Frame:
        """The next frame; every call takes a new counter, also for a repeat of the same message."""
        frame = _seal(self._sealer, self._send_direction, self._sid, self._next, self._link_id, body)
        self._next += 1
        return frame

    def open(self, frame: Frame) -> bytes | Rejected:
        """The body of a frame from the other end; a counter that does not grow is a replay."""
        opened = _unseal(self._opener, self._receive_direction, self._sid, frame)
        if isinstance(opened, Rejected):
            return opened
        counter, body = opened
        if counter <= self._highest:
            return Rejected(Reject.REPLAY, f"counter {counter} after {self._highest}")
        self._highest = counter
        return body
