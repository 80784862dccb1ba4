"""Faults of the radio network: modules that vanish, trees that change, names that are taken twice."""

from typing import Final

import attrs

from scada.simulate.faults.catalogue import Kind, fault
from scada.simulate.faults.rig import Rig, Undo

BY_HOUR_S: Final = 3600.0
ON_THE_WAY_S: Final = 600.0                       # of a module in somebody's hands
LATE_S: Final = 400.0                             # later than any command may be executed


def _away(rig: Rig, modules: frozenset[int]) -> Undo:
    """Cut modules off; those that hear nobody any more keep their readings until they do."""
    rig.state.replant(silent=modules)
    mesh = rig.state.mesh
    gone = modules | {int(one) for one in mesh.index[mesh.level == 0]}
    rig.state.plight.away |= gone

    def end() -> None:
        rig.state.plight.away -= gone
        rig.state.replant()

    return end


def _worse(rig: Rig, *, worse_db: float = 0.0, corridor: bool = False) -> Undo:
    """Let the radio be worse (see `Mesh.replant`); who has no way any more keeps his readings until he has."""
    rig.state.replant(worse_db=worse_db, corridor=corridor)
    mesh = rig.state.mesh
    gone = {int(one) for one in mesh.index[mesh.level == 0]}
    rig.state.plight.away |= gone

    def end() -> None:
        rig.state.plight.away -= gone
        rig.state.replant()

    return end


@fault(
    "node-loss", Kind.MODULE,
    does="A module is not heard any more.",
    shows="It is lost, and back later, as a pair of one event, and has no way meanwhile; what it kept comes then.",
    expect=("event.MODULE_LOST >= 1", "cleared.MODULE_LOST >= 1", "outage.any == 1", "trouble.CUT_OFF >= 1"),
)
def node_loss(rig: Rig) -> Undo:
    return _away(rig, frozenset({rig.module}))


@fault(
    "hot-relay-loss", Kind.MODULE,
    does="The module that most others send through fails, and with it, until they find another way, its whole subtree.",
    shows="All of them are lost and come back, as one outage of that relay, and the tree is another; nothing is missing.",
    expect=("event.MODULE_LOST >= 2", "cleared.MODULE_LOST >= 2", "tree.moved >= 1", "outage.relay == 1",
            "outage.any == 1", "trouble.CUT_OFF >= 1"),
)
def hot_relay(rig: Rig) -> Undo:
    hot = rig.hot
    family = rig.state.mesh.subtree(hot)
    end = _away(rig, frozenset({hot}))
    rig.state.plight.away |= family

    def back() -> None:
        rig.state.plight.away -= family
        end()

    return back


@fault(
    "parent-flapping", Kind.MODULE,
    does="A module changes its parent to and fro.",
    shows="The tree shows each change as of now; nothing is missing, and no alarm is raised for it.",
    expect=("tree.told >= 6", "event.MODULE_LOST == 0"),
)
def flapping(rig: Rig) -> Undo:
    mesh = rig.state.mesh
    parent = int(mesh.parent[mesh.index == rig.module][0])
    for _ in range(3):
        rig.state.replant(silent=frozenset({parent}) if parent > 0 else frozenset(), worse_db=3.0)
        rig.state.replant()
    return lambda: None


@fault(
    "partition", Kind.MODULE,
    does="Half of the modules hear nobody but each other.",
    shows="Each of them is lost and comes back with everything it kept: one outage, of part of a radio network.",
    expect=("event.MODULE_LOST >= 3", "cleared.MODULE_LOST >= 3", "outage.partition == 1", "outage.any == 1",
            "trouble.CUT_OFF >= 1"),
)
def partition(rig: Rig) -> Undo:
    indices = sorted(one.index for one in rig.state.modules)
    apart = frozenset(indices[len(indices) // 2:])
    rig.state.replant(apart=apart)
    rig.state.plight.away |= apart

    def end() -> None:
        rig.state.plight.away -= apart
        rig.state.replant()

    return end


@fault(
    "interferer", Kind.MODULE,
    does="Somebody else's transmitter takes 12 dB from every link of the subnet.",
    shows="Delivery ratios fall and the tree is another; who is not heard any more is lost until it ends.",
    expect=("tree.told >= 1", "mesh.delivery_fell >= 1", "outage.any == 1", "trouble.CUT_OFF >= 1"),
)
def interferer(rig: Rig) -> Undo:
    return _worse(rig, worse_db=12.0)


@fault(
    "interferer-by-hour", Kind.MODULE,
    does="A transmitter nearby takes 12 dB from every link, every second hour.",
    shows="Delivery ratios fall and recover, again and again; who is not heard meanwhile is lost and comes back each time.",
    expect=("mesh.delivery_fell >= 2", "tree.told >= 4"),
    lasts_h=5.0,
)
def by_hour(rig: Rig) -> Undo:
    end: Undo | None = None
    over = False

    def turn(at: float) -> None:
        nonlocal end
        if over:
            return
        if end is None:
            end = interferer(rig)
        else:
            end()
            end = None
        rig.state.control.at(at + BY_HOUR_S, turn)

    def quiet() -> None:
        nonlocal over
        over = True
        if end is not None:
            end()

    turn(rig.now())
    return quiet


@fault(
    "too-deep", Kind.MODULE,
    does="The subnet becomes a corridor: a module hears the two beside it alone, and nothing is relayed beyond level 30.",
    shows="Who is deeper is lost by name, the others go on; everybody is back when it ends, and nothing is missing.",
    expect=("event.MODULE_LOST >= 6", "cleared.MODULE_LOST >= 6", "tree.at_limit >= 1"),
    modules=36,
)
def too_deep(rig: Rig) -> Undo:
    return _worse(rig, corridor=True)


@fault(
    "duplicate-eui", Kind.MODULE,
    does="A module calls itself by the EUI of another one of its subnet.",
    shows="Its readings clash with the true owner's: the first stays, the other is kept as a conflict.",
    expect=("historian.conflicts >= 1",),
    complete=False,
)
def duplicate(rig: Rig) -> Undo:
    other = next(one for one in rig.state.modules if one.index != rig.module)
    rig.state.plight.twins[rig.module] = other.eui
    rig.state.relist()

    def end() -> None:
        rig.state.plight.twins.pop(rig.module, None)
        rig.state.relist()

    return end


@fault(
    "duplicate-eui-elsewhere", Kind.MODULE,
    does="A module of the next concentrator calls itself by this one's EUI.",
    shows="Two concentrators list one EUI at once: an event that names both sides; the first value of each hour stays.",
    expect=("event.DUPLICATE_EUI >= 1", "cleared.DUPLICATE_EUI >= 1", "alarm.duplicate_eui >= 1",
            "historian.conflicts >= 1"),
    complete=False,
)
def duplicate_elsewhere(rig: Rig) -> Undo:
    there, mine = rig.neighbour.state, next(one.eui for one in rig.state.modules if one.index == rig.module)
    index = there.modules[-1].index
    there.plight.twins[index] = mine
    there.relist()

    def end() -> None:
        there.plight.twins.pop(index, None)
        there.relist()

    return end


@fault(
    "moved-module", Kind.MODULE,
    does="A module is taken to the subnet of another concentrator, and stays there.",
    shows="It is heard at the other one, an event with both sides; its readings go on, and none is missing or double.",
    expect=("joined.elsewhere >= 1", "event.WRONG_SUBNET >= 1", "alarm.wrong_subnet >= 1", "historian.conflicts == 0"),
)
def moved(rig: Rig) -> Undo:
    there = rig.neighbour.state
    module = rig.state.leave(rig.module)
    free = there.free_indices[0]
    there.control.at(rig.now() + ON_THE_WAY_S, lambda at: there.admit(attrs.evolve(module, index=free), at))
    return lambda: None


@fault(
    "missed-epoch", Kind.MODULE,
    does="A module did not hear of its group's newest epoch.",
    shows="It refuses the command with INTERLOCK and is named; the others obey.",
    expect=("refused.INTERLOCK == 1", "member.EXECUTED >= 1"),
    command="during",
)
def missed_epoch(rig: Rig) -> Undo:
    rig.state.control.behind.add(rig.module)
    return lambda: rig.state.control.behind.discard(rig.module)


@fault(
    "late-execution", Kind.MODULE,
    does="The radio is so slow that every module hears a command after its deadline.",
    shows="All refuse with EXPIRED, no load is switched off.",
    expect=("refused.EXPIRED >= 1", "member.EXECUTED == 0", "loads.switched == 0"),
    command="during",
)
def late(rig: Rig) -> Undo:
    rig.state.mesh.late_s = LATE_S

    def end() -> None:
        rig.state.mesh.late_s = 0.0

    return end
