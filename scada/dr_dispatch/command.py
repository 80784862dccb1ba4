"""A command as the desk remembers it, with the progress of each of its members."""

from typing import Final

import attrs

from scada.commands import Action, CommandState, Effect, LoadClass, Member, MemberState, Origin

TERMINAL: Final = frozenset({CommandState.CLOSED, CommandState.FAILED})


@attrs.frozen
class Progress:
    """One member of a command, and how far it has come."""

    member: Member
    state: MemberState = MemberState.SELECTED
    reason: str = ""
    changed: int = 0                    # ns, site time
    executed: int = 0                   # ns, site time its load went off; 0 = nobody said so
    manual: bool = False                # the load must be switched on by hand
    tries: int = 0                      # times the concentrator was asked to repeat it to this member
    tried: int = 0                      # ns, site time of the last of them
    boot: int = 0                       # the concentrator's start when the command was made; 0 = it was not connected


@attrs.frozen
class Command:
    """Everything the journal keeps of one command."""

    id: bytes
    selection: str                      # the selection it came from; for a restore "restore:<its own id>"
    action: Action
    group: str
    number: int                         # of the group, on the wire
    epoch: int
    load_class: LoadClass
    area: str
    actor: str
    origin: Origin
    off_for_s: int
    not_after: int                      # ns, site time
    made: int                           # ns, site time
    jitter_s: int
    repeat: int
    monitor_only: bool
    reason: str
    state: CommandState
    members: tuple[Progress, ...]
    restores: bytes = b""               # the shed that this restore ends
    effects: tuple[Effect, ...] = ()    # what the transformers' meters showed, once measured

    @property
    def live(self) -> bool:
        return self.state not in TERMINAL
