"""Keys (0x60) of links, modules and groups, handed on and put to use."""

from typing import Annotated

import attrs

from scada.drivers.dmesh.messages.base import U32, U64, Mac64, Message, numbered
from scada.drivers.dmesh.numbers import KeyTarget, Type
from scada.drivers.dmesh.wire import Choice, Octets


@numbered(Type.KEY_PUT)
@attrs.frozen
class KeyPut(Message):
    target: Annotated[KeyTarget, Choice(KeyTarget), 0]
    number: Annotated[U64, 1]                                           # group number, EUI of a module, or link id
    key_id: Annotated[U32, 2]                                           # epoch of a group key; else counts up
    wrapped: Annotated[bytes, Octets(24, 24), 3] = attrs.field(repr=False)


@numbered(Type.KEY_CONFIRM)
@attrs.frozen
class KeyConfirm(Message):
    target: Annotated[KeyTarget, Choice(KeyTarget), 0]
    number: Annotated[U64, 1]
    key_id: Annotated[U32, 2]
    check: Annotated[Mac64, 3]                                          # `crypto.key_check` of the new key


@numbered(Type.KEY_ACTIVATE)
@attrs.frozen
class KeyActivate(Message):
    """From now on the confirmed key is the one in use; the one before is good for `grace_s` more."""

    target: Annotated[KeyTarget, Choice(KeyTarget), 0]
    number: Annotated[U64, 1]
    key_id: Annotated[U32, 2]
    grace_s: Annotated[U32, 3] = 0


@numbered(Type.KEY_REVOKE)
@attrs.frozen
class KeyRevoke(Message):
    """Forget this key; the only active link key is never revoked (DENIED)."""

    target: Annotated[KeyTarget, Choice(KeyTarget), 0]
    number: Annotated[U64, 1]
    key_id: Annotated[U32, 2]
