"""A command as the desk remembers it, with the progress of its members."""

from typing import Final

import attrs

from scada.commands import Action, CommandState, Effect, LoadClass, Origin
from scada.dr_dispatch.members import Members, members_of

TERMINAL: Final = frozenset({CommandState.CLOSED, CommandState.FAILED})


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
    members: Members = attrs.field(converter=members_of)
    restores: bytes = b""               # the shed that this restore ends
    level_w: int = 0                    # what each load may still draw, for LIMIT
    effects: tuple[Effect, ...] = ()    # what the transformers' meters showed, once measured

    @property
    def live(self) -> bool:
        return self.state not in TERMINAL
