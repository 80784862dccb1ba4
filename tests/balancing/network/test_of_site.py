"""A network out of the registry: as from files, every mistake at once, and each a matter of its own transformer."""

import sys

import attrs
import numpy as np
import pytest

from scada.balancing.network import FormFactor, network_of, networks, of_site
from scada.balancing.network.of_site import tables
from scada.site import Consumer, Directory, Feeder, Linecode, Medium, Point, Section, Site, Transformer


def a_site(**changes: object) -> Site:
    """T01: pole 0 - pole 1 - pole 2 with a consumer on each of the last two; T02 has no sections."""
    site = Site(
        transformers=(
            Transformer("T01", "", 100.0, uk_percent=4.0, load_loss_kw=1.2, no_load_loss_kw=0.2), Transformer("T02"),
        ),
        feeders=(Feeder("F1", "T01"), Feeder("F2", "T02")),
        linecodes=(Linecode("4x95", 0.32, 0.08, 0.40, 0.09),),
        sections=(
            Section("S1", "F1", "pole 0", "pole 1", 250.0, "4x95"),
            Section("S2", "F1", "pole 1", "pole 2", 100.0, "", 0.6, 0.1, 0.6, 0.1),
        ),
        consumers=(Consumer("K1", phases="L1", feeder="F1"), Consumer("K2", phases="L2L3", feeder="F1")),
        points=(
            Point("P1", Medium.ELECTRICITY, "K1", node="pole 1"), Point("P2", Medium.ELECTRICITY, "K2", "", "pole 2", 0.9),
            Point("sub", Medium.ELECTRICITY, "K2"), Point("W2", Medium.WATER, "K2", node="pole 2"),
        ),
    )
    return attrs.evolve(site, **changes)


def said(site: Site, transformer: str = "T01") -> list[str]:
    return [str(one) for one in networks(Directory(site)).problems.get(transformer, ())]


def test_sections_linecodes_and_points_become_a_network() -> None:
    found = networks(Directory(a_site()))
    network = found.networks["T01"]

    assert found.networks.keys() == {"T01"}
    assert not found.problems
    assert not found.remarks
    assert network.nodes[network.root] == "pole 0"
    assert network.phase_ohm == pytest.approx([0.32 * 0.25 + 0.02j, 0.06 + 0.01j])
    assert network.neutral_ohm == pytest.approx([0.1 + 0.0225j, 0.06 + 0.01j])
    assert network.points == ("P1", "P2")                   # neither the sub-meter nor the water
    assert network.point_phases.tolist() == [[True, False, False], [False, True, True]]
    assert network.power_factor.tolist() == [1.0, 0.9]
    assert network.supply.impedance == pytest.approx((1.2 + 1j * np.sqrt(4**2 - 1.2**2)) / 100 * 400**2 / 100e3)
    assert network.supply.no_load_loss == 200.0
    assert network.supply.voltage == pytest.approx(400 / 3**0.5)
    assert network_of(tables(Directory(a_site()), "T01")).nodes == network.nodes


def test_every_mistake_is_named_at_once_and_the_network_is_not_computed() -> None:
    site = a_site(
        transformers=(Transformer("T01", vector_group="Yyn0"), Transformer("T02")),
        sections=(
            *a_site().sections, Section("S3", "F1", "pole 2", "pole 1", 5.0, "4x95"),
            Section("S4", "F1", "pole 8", "pole 9", 5.0, "4x95"), Section("S5", "F1", "pole 2", "pole 3", 5.0),
        ),
        consumers=(Consumer("K1", phases="", feeder="F1"), Consumer("K2", phases="L2L3", feeder="F1")),
        points=(*a_site().points, Point("P3", Medium.ELECTRICITY, "K2", node="pole 7")),
    )
    rooted = tuple(attrs.evolve(one, root="pole 0") for one in site.transformers)
    text = "\n".join(said(attrs.evolve(site, transformers=rooted)))

    for part in ("no uk_percent", "'Yyn0'", "nothing feeds pole 8", "S5: expected a linecode",
                 "P1: no phase", "P3: node 'pole 7'"):
        assert part in text
    assert "sections of T01" in text                        # whose it is
    assert not networks(Directory(site)).networks


def test_a_wrong_network_leaves_the_others_alone() -> None:
    other = Section("other", "F2", "a", "a", 5.0, "4x95")
    found = networks(Directory(a_site(sections=(*a_site().sections, other))))

    assert found.networks.keys() == {"T01"}
    assert found.problems.keys() == {"T02"}


def test_who_should_be_in_a_network_and_is_not_is_named() -> None:
    site = a_site(
        consumers=(*a_site().consumers, Consumer("K3", feeder="F1"), Consumer("K4")),
        points=(*a_site().points, Point("P3", Medium.ELECTRICITY, "K3"),
                Point("P4", Medium.ELECTRICITY, "K4", node="pole 1")),
    )
    found = networks(Directory(site))

    assert found.networks["T01"].points == ("P1", "P2")
    assert [(one.where, one.key) for one in found.remarks] == [("consumers", "K3"), ("points", "P4")]


def test_a_form_factor_for_other_means_is_kept_and_said_not_to_be_used() -> None:
    form = {"form_alone": 0.5, "form_together": 0.0, "form_alike": 0.4}
    first, second = a_site().transformers
    own = networks(Directory(a_site(transformers=(attrs.evolve(first, **form), second))))
    other = networks(Directory(a_site(transformers=(attrs.evolve(first, form_minutes=15, **form), second))))

    assert own.networks["T01"].form == FormFactor(0.5, 0.0, 0.4, doubt=0.3)
    assert not own.remarks
    assert [str(one) for one in other.remarks] == [
        "transformers: T01: its form factor is for means over 15 minutes; hours take the one that is shipped"
    ]


def test_a_network_with_loops_wants_an_engine_and_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are computed; with the engine it is one of them. What else is wrong with a network is not its matter."""
    tie = Section("S3", "F1", "pole 2", "pole 0", 5.0, "4x95")
    other = (Section("X1", "F2", "a", "b", 10.0, "4x95"), Section("X2", "F2", "b", "a", 10.0, "4x95"))
    site = a_site(
        transformers=(attrs.evolve(a_site().transformers[0], root="pole 0"), Transformer("T02", root="a")),
        sections=(*a_site().sections, tie, *other),
        consumers=(*a_site().consumers, Consumer("K4", phases="L1", feeder="F2")),
        points=(*a_site().points, Point("P4", Medium.ELECTRICITY, "K4", node="b")),
    )
    there = networks(Directory(site))
    monkeypatch.setitem(sys.modules, "power_grid_model", None)
    without = networks(Directory(site))

    assert there.networks["T01"].looped
    assert not networks(Directory(a_site())).networks["T01"].looped
    assert (there.problems.keys(), there.waiting) == ({"T02"}, ())
    assert [str(one) for one in there.remarks] == [
        "sections of T01: S2: loops: computed by power-grid-model, without form factor and shares"
    ]
    assert [str(one) for one in without.problems["T01"]] == [
        "sections of T01: S2: loops: computed by power-grid-model, which is not installed "
        "(in the checkout: .venv/bin/pip install -c constraints.txt -e '.[network]')"
    ]
    assert without.waiting == ("T01",)
    assert any("no uk_percent" in str(one) for one in without.problems["T02"])


def test_a_network_that_would_fill_the_memory_is_named_and_the_others_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_site, "MOST_CONNECTIONS", 2)
    one = a_site()
    both = attrs.evolve(
        one, transformers=(one.transformers[0], attrs.evolve(one.transformers[0], name="T03")),
        feeders=(one.feeders[0], Feeder("F3", "T03")),
        sections=(*one.sections, Section("S3", "F3", "head", "foot", 10.0, "4x95")),
        consumers=(*one.consumers, Consumer("K3", phases="L1", feeder="F3")),
        points=(*one.points, Point("P3", Medium.ELECTRICITY, "K3", node="foot")),
    )
    found = networks(Directory(both))

    assert found.networks.keys() == {"T03"}
    assert [str(each) for each in found.problems["T01"]] == [
        "points: 3 one-phase connections in the network of T01; expected at most 2"
    ]
