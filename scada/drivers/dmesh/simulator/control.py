"""How a group command travels: taken by the concentrator, heard by modules one by one, reported as answers come in."""

import heapq
from collections.abc import Callable, Mapping, Set
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.commands import Action
from scada.drivers.dmesh import sets
from scada.drivers.dmesh.messages import CommandReport, CommandRetry, GroupCommand, GroupSet, Refusal
from scada.drivers.dmesh.numbers import Code
from scada.drivers.dmesh.simulator.actuator import Actuator, Membership
from scada.drivers.dmesh.simulator.handing import Handing
from scada.drivers.dmesh.simulator.mesh import Mesh

REPEAT_S: Final = 45.0                      # between two broadcasts of one command, site time
COALESCE_S: Final = 2.0                     # reports are sent at most this often, site time
ANSWER_S: Final = 180.0                     # how long after `not_after` an answer may still be on its way
BY_HAND_S: Final = (600.0, 1800.0)          # when somebody presses the button of a load that waits for a hand
FREE: Final = (float("inf"), False)           # a module's allowance while nothing limits it
KEPT: Final = 256                           # commands remembered
UNSETTLED: Final = -1                       # an epoch that no command has
UNDER_WAY: Final = 32                       # commands being broadcast or collected at once


@attrs.define(eq=False)
class Progress:
    """What the concentrator knows about one command."""

    command: GroupCommand
    members: frozenset[int]
    taken: float                            # s, site time
    received: set[int] = attrs.field(factory=set)
    executed: set[int] = attrs.field(factory=set)
    restored: set[int] = attrs.field(factory=set)
    refused: dict[int, Code] = attrs.field(factory=dict)
    latency: list[int] = attrs.field(factory=lambda: [0] * 16)
    final: bool = False
    report_due: bool = False

    def report(self) -> CommandReport:
        return CommandReport(
            command_id=self.command.command_id,
            received=sets.bitmap(self.received),
            executed=sets.bitmap(self.executed),
            restored=sets.bitmap(self.restored),
            refused=tuple(Refusal(index, int(code)) for index, code in sorted(self.refused.items())),
            latency=tuple(self.latency),
            final=self.final,
        )


@attrs.frozen
class Group:
    epoch: int
    members: frozenset[int]


class Control:
    """Groups, keys and commands of one subnet. All times are site time. [s since 1970]"""

    def __init__(
        self,
        actuators: Mapping[int, Actuator],
        group_keys: Mapping[tuple[int, int], bytes],
        euis: Callable[[], Mapping[int, int]],
        mesh: Mesh,
        rng: np.random.Generator,
        on_supply: Callable[[int, bool, float], None],
        on_allowance: Callable[[int, float, bool, float], None],
        on_report: Callable[[CommandReport], None],
        is_reachable: Callable[[int, float], bool],
        out_of_reach: float,
        is_jammed: Callable[[int, float], bool] = lambda index, at: False,
    ) -> None:
        self._is_jammed = is_jammed
        self._actuators, self._euis, self._mesh, self._rng = actuators, euis, mesh, rng
        self._on_supply, self._on_report, self._is_reachable = on_supply, on_report, is_reachable
        self._on_allowance = on_allowance
        self._out_of_reach = out_of_reach
        self._place = {int(index): number for number, index in enumerate(mesh.index)}
        self._groups: dict[int, Group] = {}
        self._keys = group_keys                                     # (group, epoch) -> key, as others put them there
        self._commands: dict[bytes, Progress] = {}
        self._queue: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = 0
        self._allowed: dict[int, tuple[float, bool]] = {}           # of those that may not draw what they like
        self.mute: set[int] = set()             # modules that obey, and whose answers nobody hears
        self.handing: Handing | None = None     # None: every module got every key at once
        self.behind: set[int] = set()           # modules that did not hear of their group's newest epoch

    def inherit(self, other: "Control") -> None:
        """Take over groups, keys and commands of the control of a smaller subnet."""
        self._groups, self._keys, self._commands = other._groups, other._keys, other._commands

    # ------------------------------------------------------------------------------ what the server asks for
    def set_group(self, group: GroupSet) -> Code:
        """Take a group if its members are still who the server thinks they are."""
        euis = self._euis()
        members = sets.indices(group.members)
        if not all(index in euis for index in members):
            return Code.INTERLOCK
        if sets.members_digest((index, euis[index]) for index in members) != group.digest:
            return Code.INTERLOCK
        self._groups[group.group] = Group(group.epoch, frozenset(members))
        return Code.OK

    def unsettle(self, index: int) -> None:
        """Another module has this index, or none: nobody of its groups is switched until the server says who is meant."""
        for number, group in self._groups.items():
            if index in group.members:
                self._groups[number] = Group(UNSETTLED, group.members)

    def take(self, command: GroupCommand, now: float) -> Code:
        """Accept a command for broadcast, or say why not; a known command id is not executed twice."""
        if command.command_id in self._commands:
            return Code.DUPLICATE
        group = self._groups.get(command.group)
        if group is None:
            return Code.UNKNOWN
        if group.epoch != command.epoch:
            return Code.INTERLOCK
        if now > command.not_after:
            return Code.EXPIRED
        if sum(not one.final for one in self._commands.values()) >= UNDER_WAY:
            return Code.BUSY
        progress = Progress(command, group.members, now)
        self._commands[command.command_id] = progress
        while len(self._commands) > KEPT:
            del self._commands[next(iter(self._commands))]
        self._broadcast(progress, now)
        self._at(command.not_after + ANSWER_S, lambda at: self._finish(progress, at))
        return Code.ACCEPTED

    def retry(self, retry: CommandRetry, now: float) -> Code:
        """Say a command once more to those it names who have not answered; who is not of it is left out."""
        progress = self._commands.get(retry.command_id)
        if progress is None:
            return Code.UNKNOWN
        if now > progress.command.not_after:
            return Code.EXPIRED
        silent = progress.members & set(sets.indices(retry.members)) - progress.received
        self._once(progress, silent, self._deaf(), now)
        return Code.ACCEPTED

    def known(self, command_id: bytes) -> CommandReport | None:
        progress = self._commands.get(command_id)
        return None if progress is None else progress.report()

    def cancel(self, command_id: bytes) -> Code:
        """Stop repeating; what was heard stays heard."""
        progress = self._commands.get(command_id)
        if progress is None:
            return Code.UNKNOWN
        progress.members = frozenset(progress.received)
        return Code.OK

    # ---------------------------------------------------------------------------------------- over a restart
    def memory(self) -> dict[str, Any]:
        """What the modules themselves keep, by index; commands under way and keys die with the concentrator."""
        return {str(index): actuator.memory() for index, actuator in self._actuators.items()}

    def recall(self, memory: Mapping[str, Any], now: float) -> None:
        """The modules go on holding what they held, each to its end."""
        for index, actuator in self._actuators.items():
            actuator.recall(memory[str(index)])
            self._settle(index, actuator, actuator.supplied, frozenset(), now)

    # ---------------------------------------------------------------------------------------- what then happens
    @property
    def next_due(self) -> float | None:
        return self._queue[0][0] if self._queue else None

    def run(self, now: float) -> None:
        """Let everything happen that is due by `now`, each at its own time."""
        while self._queue and self._queue[0][0] <= now:
            due, _, happen = heapq.heappop(self._queue)
            happen(due)

    def at(self, due: float, happen: Callable[[float], None]) -> None:
        """Let something else of this subnet happen at its time, in order with the commands."""
        self._at(due, happen)

    def _at(self, due: float, happen: Callable[[float], None]) -> None:
        self._number += 1
        heapq.heappush(self._queue, (due, self._number, happen))

    def _broadcast(self, progress: Progress, now: float) -> None:
        deaf = self._deaf()
        for repeat in range(progress.command.repeat):
            leaves = now + repeat * REPEAT_S
            if leaves > progress.command.not_after:
                break
            self._once(progress, progress.members, deaf, leaves)

    def _deaf(self) -> NDArray[np.bool_]:
        """Places that are out of reach, this time."""
        return self._rng.random(len(self._mesh.index)) < self._out_of_reach

    def _once(self, progress: Progress, members: Set[int], deaf: NDArray[np.bool_], leaves: float) -> None:
        down, up = self._mesh.multicast(self._rng, leaves), self._mesh.draw_latency(self._rng, leaves)
        for index in sorted(members):
            place = self._place[index]
            if np.isfinite(down[place]) and not deaf[place]:
                self._schedule(progress, index, leaves + float(down[place]), float(up[place]))

    def _schedule(self, progress: Progress, index: int, heard: float, up: float) -> None:
        self._at(heard, lambda at: self._hear(progress, index, at, up))

    def _hear(self, progress: Progress, index: int, now: float, up: float) -> None:
        """One module hears one broadcast; its answer may be lost on the way up."""
        if index not in progress.members or not self._is_reachable(index, now):
            return
        actuator = self._actuators.get(index)
        command = progress.command
        if self.handing is not None:
            self.handing.meet(index, now)
        if actuator is None:
            code = Code.INTERLOCK
        elif self._is_jammed(index, now):                           # it never reached its end position
            code = Code.TIMEOUT
        else:
            held_before = frozenset(actuator.holds)
            was_supplied = actuator.supplied
            code = actuator.hear(command, self._membership(command.group, index), now, float(self._rng.random()))
            self._settle(index, actuator, was_supplied, held_before, now)
        if np.isfinite(up) and index not in self.mute:
            self._at(now + up, lambda at: self._answer(progress, index, code, now, at))

    def _membership(self, group: int, index: int) -> Membership | None:
        """What a member was told over the air: the group's epoch and the key of that epoch."""
        known = self._groups.get(group)
        key = None if known is None else self._keys.get((group, known.epoch))
        if known is None or key is None or (self.handing is not None and self.handing.lacks(index, (group, known.epoch))):
            return None
        return Membership(known.epoch - (index in self.behind), key)

    def _settle(
        self, index: int, actuator: Actuator, was_supplied: bool, held_before: frozenset[bytes], now: float
    ) -> None:
        """Tell the world when the supply changed, and come back when a hold ends."""
        if actuator.supplied != was_supplied:
            self._on_supply(index, actuator.supplied, now)
        if actuator.allowance != self._allowed.get(index, FREE):
            self._allowed[index] = actuator.allowance
            self._on_allowance(index, *actuator.allowance, now)
        for command_id in held_before - frozenset(actuator.holds):
            self._restored(command_id, index, now)
        for command_id in frozenset(actuator.holds) - held_before:
            self._at(actuator.holds[command_id].until, lambda at: self._let_go(index, actuator, at))
        if actuator.manual_restore and not actuator.supplied and not actuator.held_off:
            self._at(now + self._rng.uniform(*BY_HAND_S), lambda at: self._press(index, actuator, at))

    def _let_go(self, index: int, actuator: Actuator, now: float) -> None:
        was_supplied, held_before = actuator.supplied, frozenset(actuator.holds)
        actuator.tick(now)
        self._settle(index, actuator, was_supplied, held_before, now)

    def _press(self, index: int, actuator: Actuator, now: float) -> None:
        was_supplied = actuator.supplied
        actuator.switch_on_by_hand(now)
        if actuator.supplied != was_supplied:
            self._on_supply(index, actuator.supplied, now)

    def _restored(self, command_id: bytes, index: int, now: float) -> None:
        progress = self._commands.get(command_id)
        if progress is None or index in self.mute:
            return
        trip = float(self._mesh.draw_latency(self._rng)[self._place[index]])
        # the module goes on telling until it is heard: a lost answer costs another meeting or two
        arrives = now + (trip if np.isfinite(trip) else 3.0 * float(self._mesh.travel_s[self._place[index]]))
        self._at(arrives, lambda at: self._note(progress, at, lambda: progress.restored.add(index)))

    def _answer(self, progress: Progress, index: int, code: Code, heard: float, now: float) -> None:
        if index in progress.received:
            return

        def note() -> None:
            progress.received.add(index)
            if code is Code.OK:
                progress.executed.add(index)
                bucket = int(np.ceil(np.log2(max(heard - progress.taken, 1.0))))
                progress.latency[min(bucket, 15)] = min(progress.latency[min(bucket, 15)] + 1, 255)
                if progress.command.action is Action.RESTORE:
                    progress.restored.add(index)
            else:
                progress.refused[index] = code

        self._note(progress, now, note)

    def _note(self, progress: Progress, now: float, note: Callable[[], object]) -> None:
        """Something became known: report it, together with what comes in a moment later."""
        note()
        if not progress.final and progress.received >= progress.members:
            progress.final = True
        if not progress.report_due:
            progress.report_due = True
            self._at(now + COALESCE_S, lambda at: self._send(progress))

    def _finish(self, progress: Progress, now: float) -> None:
        """No answer can be on its way any more: who is in no set did not answer."""
        if not progress.final:
            progress.final = True
            self._send(progress)

    def _send(self, progress: Progress) -> None:
        progress.report_due = False
        self._on_report(progress.report())
