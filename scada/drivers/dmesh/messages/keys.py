"""Keys (0x60) of links, modules and groups, handed on and put to use; and who of a group holds its key."""

from typing import Annotated

import attrs

from scada.drivers.dmesh.messages.base import NONE, U32, U64, Bitmap, Bool, Index, Mac64, Message, numbered
from scada.drivers.dmesh.messages.control import Refusal
from scada.drivers.dmesh.numbers import MAX_MODULES, KeyTarget, Type
from scada.drivers.dmesh.wire import Choice, Int, Many, Octets


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


@attrs.frozen
class MemberKey:
    """The group's key as one member gets it: under the KEK of that module's own key, where the server holds one."""

    index: Annotated[Index, 0]
    eui: Annotated[U64, 1]
    wrapped: Annotated[bytes, Octets(24, 24), 2] = attrs.field(default=b"", repr=False)


@numbered(Type.KEY_MEMBERS)
@attrs.frozen
class KeyMembers(Message):
    """Hand the key of a group and epoch, which KEY_PUT has brought, to these members; KEY_HELD says who has it."""

    group: Annotated[int, Int(1, 255), 0]
    epoch: Annotated[U32, 1]
    members: Annotated[tuple[MemberKey, ...], Many(MemberKey, MAX_MODULES), 2]


@numbered(Type.KEY_HELD)
@attrs.frozen
class KeyHeld(Message):
    """Who has shown that it holds the key; cumulative for one KEY_MEMBERS, and lost without harm."""

    group: Annotated[int, Int(1, 255), 0]
    epoch: Annotated[U32, 1]
    held: Annotated[Bitmap, 2] = NONE
    refused: Annotated[tuple[Refusal, ...], Many(Refusal, MAX_MODULES), 3] = ()
    final: Annotated[Bool, 4] = False                                   # who is in no set was not reached
