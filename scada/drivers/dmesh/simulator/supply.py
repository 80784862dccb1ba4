"""Commands to single simulated modules: what the concentrator says, what the module with a whole supply does.

The rules of the module, in the order in which they are asked (docs/dmlp.md, "One module"):

1. the MAC must be right under the module's own key                              CRYPTO
2. a command id heard before gets the answer of the first time
3. the command must be meant for this module                                     INTERLOCK
4. the counter must have grown                                                   DENIED
5. the fields must not contradict each other                                     BAD_ARGUMENT
6. heard after `not_after`                                                       EXPIRED
7. no actuator of a whole supply; NEVER, for DEBT                                DENIED
8. SUPPLY_OFF while the clock is not valid                                       INTERLOCK
"""

from collections.abc import Callable, Container, Mapping
from typing import Any, Final

import attrs
import numpy as np

from scada.commands import Action
from scada.drivers.dmesh import crypto, sets
from scada.drivers.dmesh.keyring import Ring
from scada.drivers.dmesh.messages import Command, CommandReport, Refusal, command_body
from scada.drivers.dmesh.messages.control import command_fault
from scada.drivers.dmesh.numbers import Code, Holder
from scada.drivers.dmesh.simulator.mesh import Mesh

REMEMBERED: Final = 64                      # command ids a module keeps
KEPT: Final = 256                           # commands the concentrator remembers
UNDER_WAY: Final = 32
TRIES: Final = 3                            # of a unicast, until the module has answered
TRY_AGAIN_S: Final = 45.0                   # site time
BY_HAND_S: Final = (600.0, 1800.0)          # when somebody opens a valve that was let go
ANSWER_S: Final = 180.0                     # how long after `not_after` an answer may still be on its way


@attrs.define
class SupplyActuator:
    """The whole supply behind one module: latched, and on only while nobody holds it off."""

    manual: bool = False                    # a valve: SUPPLY_ON lets it go, a hand opens it
    never: bool = False
    clock_valid: bool = True
    supplied: bool = True
    holders: set[Holder] = attrs.field(factory=set)
    _answers: dict[bytes, Code] = attrs.field(factory=dict)
    _counter: int = -1

    def hear(self, command: Command, eui: int, keys: tuple[bytes, ...], now: float) -> Code:
        """Obey or refuse; `keys` are those of this module that are good."""
        body = command_body(command)
        if not any(crypto.equal(command.mac, crypto.command_mac(key, body)) for key in keys):
            return Code.CRYPTO
        if command.command_id in self._answers:
            return self._answers[command.command_id]
        code = self._judge(command, eui, now)
        self._counter = max(self._counter, command.ctr)
        if code is Code.OK:
            self._execute(command)
        self._answers[command.command_id] = code
        while len(self._answers) > REMEMBERED:
            del self._answers[next(iter(self._answers))]
        return code

    def open_by_hand(self) -> bool:
        """Somebody on site opens a valve that nobody holds any more; whether it moved."""
        if self.holders or self.supplied:
            return False
        self.supplied = True
        return True

    def memory(self) -> dict[str, Any]:
        """What a module keeps when its power fails, as JSON."""
        return {"supplied": self.supplied, "holders": sorted(self.holders), "counter": self._counter}

    def recall(self, memory: Mapping[str, Any]) -> None:
        self.supplied, self._counter = memory["supplied"], memory["counter"]
        self.holders = {Holder(one) for one in memory["holders"]}

    def _judge(self, command: Command, eui: int, now: float) -> Code:
        if command.eui != eui:
            return Code.INTERLOCK
        if command.ctr <= self._counter:
            return Code.DENIED
        if command_fault(command):
            return Code.BAD_ARGUMENT
        off = command.action is Action.SUPPLY_OFF
        if now > command.not_after and (self.clock_valid or off):
            return Code.EXPIRED
        if command.action not in (Action.SUPPLY_OFF, Action.SUPPLY_ON) or (
            off and self.never and command.holder is Holder.DEBT
        ):
            return Code.DENIED
        return Code.INTERLOCK if off and not self.clock_valid else Code.OK

    def _execute(self, command: Command) -> None:
        if command.action is Action.SUPPLY_OFF:
            self.holders.add(command.holder)
            self.supplied = False
        else:
            self.holders.discard(command.holder)
            if not self.holders and not self.manual:
                self.supplied = True


@attrs.define(eq=False)
class Progress:
    """What the concentrator knows about one command."""

    command: Command
    received: bool = False
    code: Code | None = None
    restored: bool = False
    held: bool = False
    final: bool = False

    def report(self) -> CommandReport:
        only = sets.bitmap([self.command.index])
        executed = self.code is Code.OK
        nobody = sets.bitmap(())
        refused = () if self.code is None or executed else (Refusal(self.command.index, int(self.code)),)
        return CommandReport(
            command_id=self.command.command_id, received=only if self.received else nobody,
            executed=only if executed else nobody, restored=only if self.restored else nobody, refused=refused,
            final=self.final, held=only if self.held else nobody,
        )


class Singles:
    """Commands to single modules of one subnet. All times are site time. [s since 1970]"""

    def __init__(
        self,
        supplies: Mapping[int, SupplyActuator],
        euis: Callable[[], Mapping[int, int]],
        rings: Mapping[int, Ring],
        mesh: Mesh,
        rng: np.random.Generator,
        on_supply: Callable[[int, bool, float], None],
        on_report: Callable[[CommandReport], None],
        is_reachable: Callable[[int, float], bool],
        at: Callable[[float, Callable[[float], None]], None],
        is_jammed: Callable[[int, float], bool] = lambda index, at: False,
        bypassed: Container[int] = (),
    ) -> None:
        """`is_jammed`: asked when a module moves its contactor or valve; `bypassed`: what it says, and nothing happens."""
        self._is_jammed, self._bypassed = is_jammed, bypassed
        self.supplies, self._euis, self._rings, self._mesh, self._rng = supplies, euis, rings, mesh, rng
        self._on_supply, self._on_report, self._is_reachable, self._at = on_supply, on_report, is_reachable, at
        self._place = {int(index): number for number, index in enumerate(mesh.index)}
        self._commands: dict[bytes, Progress] = {}
        self.mute: set[int] = set()             # modules that obey, and whose answers nobody hears

    def take(self, command: Command, now: float) -> Code:
        """Accept a command for one module, or say why not; a known command id is not sent twice."""
        if command.command_id in self._commands:
            return Code.DUPLICATE
        if self._euis().get(command.index) != command.eui:
            return Code.INTERLOCK
        if command_fault(command):
            return Code.BAD_ARGUMENT
        if now > command.not_after:
            return Code.EXPIRED
        if sum(not one.final for one in self._commands.values()) >= UNDER_WAY:
            return Code.BUSY
        progress = Progress(command)
        self._commands[command.command_id] = progress
        while len(self._commands) > KEPT:
            del self._commands[next(iter(self._commands))]
        for number in range(TRIES):
            self._at(now + number * TRY_AGAIN_S, lambda at: self._try(progress, at))
        self._at(command.not_after + ANSWER_S, lambda at: self._finish(progress))
        return Code.ACCEPTED

    def known(self, command_id: bytes) -> CommandReport | None:
        progress = self._commands.get(command_id)
        return None if progress is None else progress.report()

    def open_by_hand(self, index: int, now: float) -> None:
        """Somebody opens the valve of a module; its concentrator tells of the last command that let it go."""
        if not self.supplies[index].open_by_hand():
            return
        self._on_supply(index, True, now)
        mine = [one for one in self._commands.values()
                if one.command.index == index and one.command.action is Action.SUPPLY_ON and one.code is Code.OK]
        if mine:
            mine[-1].restored = True
            self._on_report(mine[-1].report())

    def inherit(self, other: "Singles") -> None:
        """Take over the commands of a smaller subnet."""
        self._commands = other._commands

    def memory(self) -> dict[str, Any]:
        """What the modules keep, by index."""
        return {str(index): one.memory() for index, one in self.supplies.items()}

    def recall(self, memory: Mapping[str, Any], now: float) -> None:
        for index, one in self.supplies.items():
            if str(index) in memory:
                one.recall(memory[str(index)])
                if not one.supplied and index not in self._bypassed:
                    self._on_supply(index, False, now)

    def _try(self, progress: Progress, now: float) -> None:
        if progress.received or now > progress.command.not_after:
            return
        down = float(self._mesh.draw_latency(self._rng)[self._place[progress.command.index]])
        if np.isfinite(down):
            self._at(now + down, lambda at: self._hear(progress, at))

    def _hear(self, progress: Progress, now: float) -> None:
        command = progress.command
        if not self._is_reachable(command.index, now):
            return
        actuator = self.supplies.get(command.index)
        held = False
        code, was_supplied = Code.DENIED, False
        if actuator is not None:
            ring = self._rings.get(command.eui, Ring())
            was_supplied = actuator.supplied
            keys = tuple(key.secret for key in ring.held(0))
            code = Code.TIMEOUT if self._is_jammed(command.index, now) else actuator.hear(command, command.eui, keys, now)
            held = bool(actuator.holders) and command.action is Action.SUPPLY_ON
            if actuator.supplied != was_supplied and command.index not in self._bypassed:
                self._on_supply(command.index, actuator.supplied, now)
            if code is Code.OK and actuator.manual and not actuator.holders and not actuator.supplied:
                self._at(now + self._rng.uniform(*BY_HAND_S), lambda at: self.open_by_hand(command.index, at))
        back = code is Code.OK and command.action is Action.SUPPLY_ON and actuator is not None and actuator.supplied
        up = float(self._mesh.draw_latency(self._rng)[self._place[command.index]])
        if np.isfinite(up) and command.index not in self.mute:
            self._at(now + up, lambda at: self._answer(progress, code, held=held, back=back))

    def _answer(self, progress: Progress, code: Code, *, held: bool, back: bool) -> None:
        if not progress.received:
            progress.received, progress.code, progress.held, progress.restored = True, code, held, back
            progress.final = True
            self._on_report(progress.report())

    def _finish(self, progress: Progress) -> None:
        """No answer can be on its way any more."""
        if not progress.final:
            progress.final = True
            self._on_report(progress.report())
