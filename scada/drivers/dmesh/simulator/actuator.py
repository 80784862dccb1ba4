"""What a module itself does with a command: the last guard, which holds whatever the server or the concentrator says.

The rules, in the order in which they are asked (docs/dmlp.md, "Commands"):

1. the MAC must be right under the key of the command's group and epoch          CRYPTO
2. a command id heard before gets the answer of the first time; nothing is extended
3. the epoch must be the module's own                                            INTERLOCK
4. the counter must have grown since the last command of that group              DENIED
5. a RESTORE is obeyed now, also when the clock is not valid
6. heard after `not_after`                                                       EXPIRED
7. NEVER, a red load, or a command for another class than the load's             DENIED
8. a time of 0, or beyond the cap of the class (a day for LIMIT and ECO); a level
   without LIMIT, or LIMIT without one                                           BAD_ARGUMENT
9. clock not valid; for SHED: not on for long enough, off too long in the window INTERLOCK
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from scada.commands import Action, LoadClass
from scada.drivers.dmesh import crypto
from scada.drivers.dmesh.messages import GroupCommand, command_body
from scada.drivers.dmesh.numbers import Code

LONGEST_S: Final = 86400                    # of a LIMIT or ECO
REMEMBERED: Final = 64                      # command ids a module keeps


@attrs.frozen
class Limits:
    """How long a load may be off, and must be on between."""

    cap_s: int                              # off in one go, and in any window of cap_s + min_on_s
    min_on_s: int = 1800

    @property
    def window_s(self) -> int:
        return self.cap_s + self.min_on_s


LIMITS: Final = {
    LoadClass.YELLOW: Limits(900),
    LoadClass.GREEN: Limits(14400),
}


@attrs.frozen
class Membership:
    """A module's place in one group."""

    epoch: int
    key: bytes = attrs.field(repr=False)


@attrs.frozen
class Hold:
    """One command that keeps the load off, or down."""

    group: int
    until: float                            # s, site time
    action: Action = Action.SHED            # or LIMIT, ECO: those keep the supply
    level_w: int = 0                        # for LIMIT


@attrs.define
class Actuator:
    """The secondary load of one module. All times are site time. [s since 1970]"""

    load_class: LoadClass
    never: bool = False
    manual_restore: bool = False
    limits: Limits | None = None            # None: those of the class
    clock_valid: bool = True
    supplied: bool = True
    holds: dict[bytes, Hold] = attrs.field(factory=dict)
    _off_since: float | None = None
    _on_since: float = float("-inf")
    _periods: list[tuple[float, float]] = attrs.field(factory=list)     # off, inside the window
    _answers: dict[bytes, Code] = attrs.field(factory=dict)
    _counters: dict[int, int] = attrs.field(factory=dict)               # group -> highest ctr

    @property
    def held_off(self) -> bool:
        return any(hold.action is Action.SHED for hold in self.holds.values())

    @property
    def allowance(self) -> tuple[float, bool]:
        """What the load may draw [W], inf = no limit, and whether it is to economise."""
        levels = (hold.level_w for hold in self.holds.values() if hold.action is Action.LIMIT)
        return min(levels, default=float("inf")), any(hold.action is Action.ECO for hold in self.holds.values())

    def hear(self, command: GroupCommand, member: Membership | None, now: float, jitter: float) -> Code:
        """
        Obey or refuse a command.

        Parameters
        ----------
        command : GroupCommand
            As it came over the radio.
        member : Membership or None
            What the module knows of the command's group; None: nothing.
        now : float
            When it is heard. [s]
        jitter : float
            The module's own dice, 0 to 1: how much of the restore jitter it takes. [1]
        """
        if member is None or not crypto.equal(command.mac, crypto.command_mac(member.key, command_body(command))):
            return Code.CRYPTO
        if command.command_id in self._answers:
            return self._answers[command.command_id]
        code = self._judge(command, member, now)
        self._counters[command.group] = max(command.ctr, self._counters.get(command.group, -1))
        if code is Code.OK:
            self._execute(command, now, jitter)
        self._answers[command.command_id] = code
        while len(self._answers) > REMEMBERED:
            del self._answers[next(iter(self._answers))]
        return code

    def tick(self, now: float) -> bool:
        """Let holds end that have run out; True if the last one went just now."""
        ended = [one for one, hold in self.holds.items() if hold.until <= now]
        for one in ended:
            del self.holds[one]
        return bool(ended) and self._release(now)

    def switch_on_by_hand(self, now: float) -> None:
        """Somebody presses the button of a load that must not start by itself; while it is held off, nothing happens."""
        if not self.held_off and not self.supplied:
            self._supply(now)

    def memory(self) -> dict[str, Any]:
        """What a module keeps when its power fails, as JSON; answers are not among it: a repeat meets the counter."""
        return {
            "supplied": self.supplied, "off_since": self._off_since, "on_since": self._on_since, "periods": self._periods,
            "holds": {
                one.hex(): [hold.group, hold.until, hold.action, hold.level_w] for one, hold in self.holds.items()
            },
            "counters": {str(group): ctr for group, ctr in self._counters.items()},
        }

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on from what `memory` gave."""
        self.supplied, self._off_since, self._on_since = memory["supplied"], memory["off_since"], memory["on_since"]
        self._periods = [(start, end) for start, end in memory["periods"]]
        self.holds = {
            bytes.fromhex(one): Hold(group, until, *((Action(rest[0]), rest[1]) if rest else ()))
            for one, (group, until, *rest) in memory["holds"].items()
        }
        self._counters = {int(group): ctr for group, ctr in memory["counters"].items()}

    def _judge(self, command: GroupCommand, member: Membership, now: float) -> Code:
        if command.epoch != member.epoch:
            return Code.INTERLOCK
        if command.ctr <= self._counters.get(command.group, -1):
            return Code.DENIED
        if command.action is Action.RESTORE:
            return Code.EXPIRED if self.clock_valid and now > command.not_after else Code.OK
        if self.clock_valid and now > command.not_after:
            return Code.EXPIRED
        limits = self.limits or LIMITS.get(self.load_class)
        if self.never or limits is None or command.load_class is not self.load_class:
            return Code.DENIED
        cap_s = limits.cap_s if command.action is Action.SHED else LONGEST_S
        if not 0 < command.off_for_s <= cap_s or (command.action is Action.LIMIT) != bool(command.level):
            return Code.BAD_ARGUMENT
        if command.action is not Action.SHED:
            return Code.OK if self.clock_valid else Code.INTERLOCK
        if not self.clock_valid or self._too_soon(now, limits) or self._too_long(now, command.off_for_s, limits):
            return Code.INTERLOCK
        return Code.OK

    def _too_soon(self, now: float, limits: Limits) -> bool:
        return self.supplied and now - self._on_since < limits.min_on_s

    def _too_long(self, now: float, off_for: float, limits: Limits) -> bool:
        """Whether any window would hold more off-time than the cap; the worst one ends when this shed would end."""
        edge = now + off_for - limits.window_s
        self._periods = [(start, end) for start, end in self._periods if end > now - limits.window_s]
        running = [] if self._off_since is None else [(self._off_since, now)]
        used = sum(max(0.0, end - max(start, edge)) for start, end in (*self._periods, *running))
        return used + off_for > limits.cap_s

    def _execute(self, command: GroupCommand, now: float, jitter: float) -> None:
        if command.action is Action.RESTORE:
            self.holds = {one: hold for one, hold in self.holds.items() if hold.group != command.group}
            self._release(now)
            return
        early = jitter * min(command.restore_jitter_s, command.off_for_s / 2)
        if command.action is not Action.SHED:               # the newest word of a group counts
            self.holds = {
                one: hold for one, hold in self.holds.items() if hold.action is Action.SHED or hold.group != command.group
            }
        until = now + command.off_for_s - early
        self.holds[command.command_id] = Hold(command.group, until, command.action, command.level)
        if command.action is not Action.SHED:
            return
        self.supplied = False
        if self._off_since is None:
            self._off_since = now

    def _release(self, now: float) -> bool:
        """The supply returns when nobody holds it any more; a manual one waits for a hand."""
        if self.held_off or self.supplied:
            return False
        if self._off_since is not None:
            self._periods.append((self._off_since, now))
            self._off_since = None
        if not self.manual_restore:
            self._supply(now)
        return True

    def _supply(self, now: float) -> None:
        self.supplied, self._on_since = True, now
