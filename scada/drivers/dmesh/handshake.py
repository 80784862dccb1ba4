"""The server's half of the mutual proof: the transcript, our MAC over it, and the channel a right answer opens."""

from collections.abc import Sequence

import attrs

from scada.drivers.dmesh import crypto, frame, messages
from scada.drivers.dmesh.keyring import Key
from scada.drivers.dmesh.messages import Auth, Challenge, Hello


class Handshake:
    """Made when a HELLO names a link whose keys we hold; over when the proof holds.

    The first key makes our own proof. While a key is being changed there are several: whichever the answer is under,
    is the key of the session.
    """

    def __init__(self, hello: Hello, body: bytes, keys: Sequence[Key], nonce: bytes) -> None:
        self._hello, self._keys, self._nonce = hello, keys, nonce
        self._bodies = [body]                               # in order, as they went over the wire

    def challenge(self, t1: int, t3: int, max_frame: int) -> bytes:
        """The body of CHALLENGE, which proves that we hold the key too."""
        terms = Challenge(frame.VERSION, t1, t3, max_frame, self._nonce)
        key = crypto.auth_key(self._keys[0].secret)
        mac = crypto.handshake_mac(key, crypto.ROLE_SERVER, [*self._bodies, messages.encode(terms)])
        self._bodies.append(messages.encode(attrs.evolve(terms, mac=mac)))
        return self._bodies[-1]

    def channel(self, auth: Auth, body: bytes) -> tuple[Key, crypto.Channel] | None:
        """The sealed channel and the key that was proven, if AUTH holds under one of them."""
        bodies = [*self._bodies, messages.without(body, messages.AUTH_MAC_KEY)]
        for key in self._keys:
            mac = crypto.handshake_mac(crypto.auth_key(key.secret), crypto.ROLE_CONCENTRATOR, bodies)
            if crypto.equal(auth.mac, mac):
                keys = crypto.session_keys(key.secret, self._hello.nonce, self._nonce)
                return key, crypto.Channel(keys, self._hello.link_id, server=True)
        return None
