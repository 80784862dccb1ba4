"""The server's half of the mutual proof: the transcript, our MAC over it, and the channel a right answer opens."""

import attrs

from scada.drivers.dmesh import crypto, frame, messages
from scada.drivers.dmesh.messages import Auth, Challenge, Hello


class Handshake:
    """Made when a HELLO names a link whose key we hold; over when the proof holds."""

    def __init__(self, hello: Hello, body: bytes, link_key: bytes, nonce: bytes) -> None:
        self._hello, self._link_key, self._nonce = hello, link_key, nonce
        self._auth_key = crypto.auth_key(link_key)
        self._bodies = [body]                               # in order, as they went over the wire

    def challenge(self, t1: int, t3: int, max_frame: int) -> bytes:
        """The body of CHALLENGE, which proves that we hold the key too."""
        terms = Challenge(frame.VERSION, t1, t3, max_frame, self._nonce)
        mac = crypto.handshake_mac(self._auth_key, crypto.ROLE_SERVER, [*self._bodies, messages.encode(terms)])
        self._bodies.append(messages.encode(attrs.evolve(terms, mac=mac)))
        return self._bodies[-1]

    def channel(self, auth: Auth, body: bytes) -> crypto.Channel | None:
        """The sealed channel, if AUTH holds."""
        bodies = [*self._bodies, messages.without(body, messages.AUTH_MAC_KEY)]
        if not crypto.equal(auth.mac, crypto.handshake_mac(self._auth_key, crypto.ROLE_CONCENTRATOR, bodies)):
            return None
        keys = crypto.session_keys(self._link_key, self._hello.nonce, self._nonce)
        return crypto.Channel(keys, self._hello.link_id, server=True)
