"""How long a group command takes through the radio to the modules, in the simulator's model, with all retries done.

The real state machines of concentrator and module run on a clock that jumps from one thing to the next, so the figures
are site time and no machine is in them; what the server and the wire add is `scada bench fanout`. The retries are the
desk's: when they begin, and how long it waits between, are its settings.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scada.bench import Figure
from scada.commands import Action, LoadClass
from scada.drivers.dmesh import sets
from scada.drivers.dmesh.messages import CommandReport, CommandRetry, GroupCommand, GroupSet, signed
from scada.drivers.dmesh.simulator import mesh as meshes
from scada.drivers.dmesh.simulator.actuator import Actuator
from scada.drivers.dmesh.simulator.control import Control
from scada.drivers.dmesh.simulator.mesh import OUT_OF_REACH, Mesh
from scada.settings import DispatchSettings

LEVELS: Final = 8
PERIODS_S: Final = (6.0, 8.0, 10.0, 12.0)
SUBNETS: Final = 20                     # of each period, and as many commands
MODULES: Final = 240
HOUR: Final = 490_906                   # h since 1970
QUIET_S: Final = 1800.0                 # of the hour: the archive of the hour has gone up by then
EUIS: Final = {index: 0x02DF_0000_0000_0000 + index for index in range(1, MODULES + 1)}
KEY: Final = bytes(16)
DESK: Final = DispatchSettings()


def measure() -> list[Figure]:
    """Commands to whole subnets of eight levels, for each meeting period W, at any minute of the hour and a quiet one."""
    figures: list[Figure] = []
    executed = heard_of = members = 0
    for period in PERIODS_S:
        subnets = list(_subnets(period))
        any_ = [run(mesh, seed, 3600.0 * number / SUBNETS) for number, (seed, mesh) in enumerate(subnets)]
        quiet = [run(mesh, seed, QUIET_S) for seed, mesh in subnets]
        name, what = f"command_latency_w{period:.0f}", f"W = {period:.0f} s, {LEVELS} levels"
        for suffix, when, found in (("", "at any minute of the hour", any_), ("_quiet", "half past the hour", quiet)):
            late, level = (np.concatenate([one[part] for one in found]) for part in (0, 1))
            done = np.isfinite(late)
            executed, members = executed + int(done.sum()), members + len(late)
            heard_of += sum(one[2] for one in found)
            figures += [
                Figure(f"{name}{suffix}_s", f"{what}, {when}: mean", float(late[done].mean()), "s"),
                Figure(f"{name}{suffix}_deepest_s", f"{what}, {when}: mean at level {LEVELS}",
                       float(late[done & (level == LEVELS)].mean()), "s"),
                Figure(f"{name}{suffix}_p95_s", f"{what}, {when}: 95th percentile",
                       float(np.percentile(late[done], 95)), "s"),
                Figure(f"{name}{suffix}_executed", f"{what}, {when}: executed before not_after",
                       100 * float(done.mean()), "%"),
            ]
    by_id = {one.id: one.value for one in figures}
    means = [by_id[f"command_latency_w{period:.0f}_s"] for period in PERIODS_S]
    return [
        Figure("command_latency_s", f"mean over W = 6-12 s, {SUBNETS} subnets of {MODULES} modules each, any minute",
               float(np.mean(means)), "s"),
        Figure("command_executed", "executed before not_after", 100 * executed / members, "%"),
        Figure("command_heard_of", "executed, and the answer has arrived; all others are named at the end",
               100 * heard_of / members, "%"),
        *figures,
    ]


def _subnets(period: float) -> Iterator[tuple[int, Mesh]]:
    """Subnets of the simulator's usual building that came out with as many levels as are wanted."""
    found = seed = 0
    while found < SUBNETS:
        seed += 1
        mesh = meshes.grow(np.arange(1, MODULES + 1), np.random.default_rng(seed), period_s=period)
        if int(mesh.level.max()) == LEVELS:
            found += 1
            yield seed, mesh


def run(mesh: Mesh, seed: int, minute_s: float) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """One command: seconds to each module's execution (NaN: none), their levels, and of how many the desk knows it."""
    off: dict[int, float] = {}
    reports: list[CommandReport] = []
    start, members = HOUR * 3600.0 + minute_s, sets.bitmap(EUIS)
    control = Control(
        {index: Actuator(LoadClass.YELLOW) for index in EUIS}, {(1, 1): KEY}, lambda: EUIS, mesh,
        np.random.default_rng(seed + 1000), lambda index, supplied, at: _note(off, index, supplied, at),
        lambda *_: None, reports.append, lambda index, at: True, OUT_OF_REACH,
    )
    control.set_group(GroupSet(1, 1, members, sets.members_digest(EUIS.items())))
    not_after = start + DESK.not_after_seconds
    command = GroupCommand(
        bytes(16), 1, 1, Action.SHED, LoadClass.YELLOW, 900, int(not_after), 60, DESK.repeat, int(start) << 16
    )
    control.take(signed(command, KEY), start)
    at = start + DESK.collect_seconds
    while at < not_after:
        control.run(at)
        answered = set(sets.indices(reports[-1].received)) if reports else set()
        if silent := set(EUIS) - answered:
            control.retry(CommandRetry(command.command_id, sets.bitmap(sorted(silent))), at)
        at += DESK.retry_seconds
    control.run(not_after + 600)
    final = next(one for one in reports if one.final)
    late = np.array([off.get(index, np.nan) - start for index in EUIS])
    return late, mesh.level, len(sets.indices(final.executed))


def _note(off: dict[int, float], index: int, supplied: Any, at: float) -> None:
    if not supplied:
        off.setdefault(index, at)
