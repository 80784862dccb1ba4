"""The service: a report becomes figures, tags and history; the history survives; nothing is asked of the field."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scada.alarms.limits import evaluate, limit_table
from scada.bus import TagBus
from scada.clock import NS
from scada.errors import StorageError
from scada.mesh.service import SETTLE_S, NetworkService
from scada.settings import NetworkSettings
from scada.tags import Quality
from tests.fakes import NOON, InlinePool, LoopClock, site_clock
from tests.mesh.world import EUI, Monitor, node, site, view
from tests.metering.world import FixedRegistry


class Bench:
    def __init__(self, folder: Path) -> None:
        self.reactor, self.monitor = LoopClock(), Monitor()
        self.clock = site_clock(self.reactor)
        self.bus = TagBus(self.clock, self.reactor)
        self.registry = FixedRegistry(site())
        self.service = NetworkService(
            NetworkSettings(), self.monitor, self.registry, self.bus.of("network"), self.clock, self.reactor, folder,
            InlinePool(),                                    # type: ignore[arg-type]
        )
        self.service.start()

    def report(self, *nodes: Any, **changes: Any) -> None:
        self.monitor.report(view(*nodes, **changes))
        self.reactor.advance(SETTLE_S)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_report_becomes_figures_and_tags_with_limits(bench: Bench) -> None:
    bench.report(node(1, 0, 1), node(2, 1, 2, delivery=0.5), node(3, 1, 2), node(4, 99, 2))
    shot = bench.bus.snapshot()
    shown = {point: shot.get(f"C01-network/{point}")[:2] for point in ("hot_share", "weakest_link", "cut_off", "flapping")}
    table = limit_table(bench.bus.devices().values(), shot.index)
    holding = evaluate(table, shot, np.zeros(table.limit.shape, dtype=bool)).any(axis=1)
    passed = {tag for tag, holds in zip(table.tags, holding, strict=True) if holds}

    assert shown == {
        "hot_share": (pytest.approx(200 / 3), Quality.GOOD), "weakest_link": (50.0, Quality.GOOD),
        "cut_off": (1.0, Quality.GOOD), "flapping": (0.0, Quality.GOOD),
    }
    assert passed == {"C01-network/hot_share", "C01-network/weakest_link", "C01-network/cut_off"}


def test_a_module_list_alone_makes_no_good_figures(bench: Bench) -> None:
    """0 modules over budget would be a lie while nobody has reported."""
    bench.report(node(1, 0, 0, heard=0, delivery=float("nan")), as_of=0)

    assert bench.bus.snapshot().get("C01-network/over_budget")[1] is Quality.BAD_WAITING


def test_with_the_link_down_figures_are_the_last_known(bench: Bench) -> None:
    bench.report(node(1, 0, 1), link_up=False)

    assert bench.bus.snapshot().get("C01-network/cut_off")[:2] == (0.0, Quality.UNCERTAIN_LAST_KNOWN)


def test_who_was_whose_parent_when_is_known_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    bench.report(node(1, 0, 1), node(2, 1, 2), at=NOON - 300)
    bench.report(node(1, 0, 1), node(2, 1, 2), at=NOON - 200)
    bench.report(node(1, 0, 1), node(2, 0, 1), at=NOON - 100)
    bench.report(node(1, 0, 1), at=NOON)
    bench.service.stop()
    again = Bench(tmp_path).service

    def tree(at: int) -> list[tuple[int, int]]:
        return [(one.index, one.parent) for one in again.tree("C01", at * NS)]

    assert tree(NOON - 301) == []
    assert tree(NOON - 150) == [(1, 0), (2, 1)]
    assert tree(NOON - 100) == [(1, 0), (2, 0)]
    assert tree(NOON) == [(1, 0)]
    assert again.moments("C01") == tuple(at * NS for at in (NOON, NOON - 100, NOON - 300))
    assert [(name, one.parent) for name, one in again.places(EUI + 2)] == [("C01", -1), ("C01", 0), ("C01", 1)]


def test_a_module_that_changes_its_parent_again_and_again_is_flapping(bench: Bench) -> None:
    for step in range(8):
        bench.report(node(1, 0, 1), node(2, 0, 1), node(3, 1 + step % 2, 2), at=NOON - 100 + step)
    found = bench.service.figures("C01")

    assert found is not None
    assert found.changes.tolist() == [0, 0, 7]
    assert bench.bus.snapshot().get("C01-network/flapping")[0] == 1.0


def test_a_disk_that_refuses_is_said_and_the_report_is_taken_up_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bench.service._store
    assert store is not None
    write = store.write

    def broken(*_: Any) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(store, "write", broken)
    bench.report(node(1, 0, 1))
    (failing,) = bench.service.health()
    monkeypatch.setattr(store, "write", write)
    bench.reactor.advance(11)
    (well,) = bench.service.health()

    assert not failing.ok
    assert well.ok
    assert [one.index for one in bench.service.tree("C01", NOON * NS)] == [1]
