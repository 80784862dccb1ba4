"""Figures of a subnet: what hangs on whom, what is in trouble, and what nobody knows."""

import numpy as np

from scada.clock import NS
from scada.mesh.figures import Bounds, Known, figures, overlaps
from scada.mesh.history import Traffic, changes, entered
from scada.network import Basis, NetworkFigures, Place, Trouble
from scada.site import MeshAlternative, MeshNeighbour, MeshNode, MeshView
from tests.fakes import NOON
from tests.mesh.world import EUI, node, view

AGED = {EUI + n: NOON // 3600 - 8766 for n in range(1, 9)}
NAN = float("nan")


def reckon(shown: MeshView, **known: dict[int, object]) -> NetworkFigures:
    merged = {"installed": AGED, "traffic": {}, "changes": {}} | known
    return figures(shown, Known(**merged), (), NOON * NS, Bounds())


def troubles(found: NetworkFigures, index: int) -> Trouble:
    return Trouble(int(found.trouble[found.index.tolist().index(index)]))


def test_a_relay_that_carries_the_subnet_is_hot_and_named_when_there_is_no_way_round() -> None:
    shown = view(node(1, 0, 1), node(2, 1, 2), node(3, 2, 3), node(4, 0, 1))
    found = reckon(shown)

    assert found.below.tolist() == [2, 1, 0, 0]
    assert found.stranded.tolist() == [2, 1, 0, 0]
    assert troubles(found, 1) == Trouble.HOT | Trouble.NO_WAY_ROUND
    assert troubles(found, 4) == Trouble.NONE
    spare = (MeshAlternative(4, -80.0, 0.9),)
    assert reckon(view(node(1, 0, 1), node(2, 1, 2, alternatives=spare), node(4, 0, 1))).stranded.tolist() == [0, 0, 0]


def test_modules_below_a_parent_that_is_in_no_list_are_a_partition() -> None:
    found = reckon(view(node(1, 0, 1), node(2, 77, 2), node(3, 2, 3), node(5, 6, 2), node(6, 5, 2)))

    assert found.depth.tolist() == [1, -1, -1, -1, -1]
    assert all(Trouble.CUT_OFF in troubles(found, index) for index in (2, 3, 5, 6))


def test_every_trouble_has_its_reason() -> None:
    shown = view(
        node(1, 0, 1, delivery=0.6), node(2, 0, 1, relayed_today=701, relay_budget=700),
        node(3, 0, 1, battery_idle_mv=3200.0),
        node(4, 0, 1, parent_changes=9), node(5, 0, 1, heard=(NOON - 27 * 3600) * NS), node(6, 0, 1, relayed_today=501),
    )
    found = reckon(shown)

    assert [troubles(found, index) for index in range(1, 7)] == [
        Trouble.POOR_LINK, Trouble.OVER_BUDGET, Trouble.BATTERY_LOW | Trouble.BATTERY_SHORT, Trouble.FLAPPING,
        Trouble.SILENT, Trouble.OVER_BUDGET,
    ]


def test_a_module_that_never_reported_has_no_figures_and_no_trouble() -> None:
    mute = MeshNode(EUI + 1, 1, 0, 0, NAN, NAN, NAN, 0, 0, NAN, 0)
    found = reckon(view(mute))

    assert found.depth.tolist() == [-1]
    assert np.isnan(found.years).all()
    assert found.basis.tolist() == [Basis.UNKNOWN]
    assert troubles(found, 1) == Trouble.NONE


def test_the_forecast_rests_on_days_that_are_over_not_on_a_morning() -> None:
    """At ten in the morning today's count says little."""
    traffic = {EUI + 1: Traffic(EUI + 1, 10, 6000, 1, 3)}
    found = reckon(view(node(1, 0, 1, relayed_today=3)), traffic=traffic)

    assert found.relayed.tolist() == [600.0]
    assert troubles(found, 1) == Trouble.OVER_BUDGET


def test_a_module_heard_by_two_concentrators_is_an_overlap_of_both() -> None:
    mine = view(node(1, 0, 1))
    other = view(name="C02", overheard=(
        MeshNeighbour(EUI + 1, 5, -90.0, 3, 4), MeshNeighbour(EUI + 77, 5, -80.0, 3, 4),
    ))
    home = {EUI + 1: "C01"}
    seen_by_home = overlaps(mine, {"C02": other}, home)
    seen_by_other = overlaps(other, {"C02": other}, home)
    flagged = figures(mine, Known(AGED, {}, {}), seen_by_home, NOON * NS, Bounds())

    assert [(one.eui, one.home, one.heard_by) for one in seen_by_home] == [(EUI + 1, "C01", "C02")]
    assert [(one.eui - EUI, one.home) for one in seen_by_other] == [(77, ""), (1, "C01")]
    assert troubles(flagged, 1) == Trouble.OVERLAP


def test_only_what_moved_is_a_change_and_an_old_report_changes_nothing() -> None:
    first = changes({}, view(node(1, 0, 1), node(2, 1, 2)).nodes, 10 * NS)
    held = {place.eui: place for place in first}
    moved = changes(held, view(node(1, 0, 1), node(2, 0, 1)).nodes, 20 * NS)
    gone = changes(held, view(node(1, 0, 1)).nodes, 20 * NS)

    assert len(first) == 2
    assert moved == [Place(EUI + 2, 2, 0, 1, 20 * NS)]
    assert gone == [Place(EUI + 2, 2, -1, 0, 20 * NS)]
    assert changes(held, view(node(1, 0, 1), node(2, 1, 2)).nodes, 20 * NS) == []
    assert changes(held, view(node(2, 0, 1)).nodes, 9 * NS) == []


def test_a_day_is_counted_once_it_is_over() -> None:
    day = 86_400 * NS
    first = entered(None, 1, 5 * day, 40)
    later = entered(first, 1, 5 * day + 1, 90)
    after_reset = entered(later, 1, 5 * day + 2, 10)
    next_day = entered(after_reset, 1, 6 * day, 7)

    assert first.per_day == 40
    assert (next_day.days, next_day.packets, next_day.packets_today) == (1, 90, 7)
    assert next_day.per_day == 90
    assert entered(next_day, 1, 4 * day, 999) == next_day
