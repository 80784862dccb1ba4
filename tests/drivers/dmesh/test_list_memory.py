"""What lists said is remembered: whose an index was when an event happened, and which conflicts people know of already."""

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from twisted.internet.defer import Deferred, succeed

from scada.drivers.dmesh.conflicts import Conflict
from scada.drivers.dmesh.list_memory import MOST_BEFORE, ListMemory
from scada.drivers.dmesh.messages import Event, Events, ModuleEntry, ModuleJoined
from scada.drivers.dmesh.numbers import MAX_MODULES
from scada.events import DeviceEvent, EventCode
from scada.site import Concentrator, Module, ModuleState, Site
from tests.drivers.dmesh.peers import LINK_ID, LINK_KEY, Bench, Peer, Wire, bench, entries, hello, run_now
from tests.fakes import NOON

HEIR = 0xFFFF_0000_0000_0009            # above 2^63: whoever stores it signed must bring it back
SAID = {(EventCode.WRONG_SUBNET, "C02-007"): Conflict(EventCode.WRONG_SUBNET, "C02-007", "said")}


def owners(**euis: int) -> Any:
    found = np.zeros(MAX_MODULES + 1, dtype=np.uint64)
    for index, eui in euis.items():
        found[int(index[1:])] = eui
    return found


def opened(path: Path | None, run: Any = run_now) -> ListMemory:
    memory = ListMemory(path, run)
    memory.open()
    return memory


def told(site: Bench) -> list[DeviceEvent]:
    heard: list[DeviceEvent] = []

    def hear(events: Any) -> "Deferred[None]":
        heard.extend(events)
        return succeed(None)

    site.service.on_events(hear)
    return heard


def test_an_index_had_the_owner_of_then(tmp_path: Path) -> None:
    """After a restart too; a new place is nobody's before, and what did not change is whoever has it now."""
    memory = opened(tmp_path / "m.sqlite")
    memory.took(1, 7, owners(i1=0xA1, i2=HEIR), 100)
    memory.took(1, 7, owners(i1=0xB1, i2=HEIR, i3=0xA3), 200)
    memory.took(1, 7, owners(i2=HEIR, i3=0xA3), 300)
    memory.took(1, 7, owners(i3=0xA3), 400)
    memory.close()
    again = opened(tmp_path / "m.sqlite")

    for one in (memory, again):
        assert [one.owner(1, 1, at) for at in (50, 199, 200, 299, 300, 500)] == [0xA1, 0xA1, 0xB1, 0xB1, 0, 0]
        assert [one.owner(1, 2, at) for at in (399, 400)] == [HEIR, 0]
        assert [one.owner(1, 3, 50), one.owner(2, 1, 50)] == [0, 0]


def test_a_change_that_was_made_while_the_server_was_down_is_seen(tmp_path: Path) -> None:
    memory = opened(tmp_path / "m.sqlite")
    memory.took(1, 7, owners(i1=0xA1), 100)
    memory.close()
    again = opened(tmp_path / "m.sqlite")
    again.took(1, 7, owners(i1=0xB1), 500)

    assert [again.owner(1, 1, at) for at in (499, 500)] == [0xA1, 0]


def test_another_archive_is_another_concentrator_and_says_nothing_of_this_ones_modules() -> None:
    memory = opened(None)
    memory.took(1, 7, owners(i1=0xA1), 100)
    memory.took(1, 7, owners(i1=0xB1), 200)
    memory.took(1, 8, owners(i1=0xC1), 300)

    assert memory.owner(1, 1, 50) == 0


def test_an_index_that_changes_hands_for_ever_takes_no_more_room(tmp_path: Path) -> None:
    memory = opened(tmp_path / "m.sqlite")
    for number in range(50):
        memory.took(1, 7, owners(i1=1 + number), 100)       # and a clock that stands
    memory.close()

    for one in (memory, opened(tmp_path / "m.sqlite")):
        assert len({one.owner(1, 1, at) for at in range(200)} - {0}) == MOST_BEFORE


def test_many_changes_go_in_one_write_and_a_disk_that_refuses_costs_only_memory(tmp_path: Path) -> None:
    writes: list[Deferred[Any]] = []

    def later(work: Any, *args: Any) -> "Deferred[Any]":
        writes.append(Deferred())
        return writes[-1].addCallback(lambda _: work(*args))

    memory = opened(tmp_path / "m.sqlite", later)
    for link in range(5):
        memory.took(link, 7, owners(i1=0xA1), 100)
    assert len(writes) == 1
    writes[0].callback(None)
    assert len(writes) == 2
    memory._file.close()                                    # type: ignore[union-attr]
    writes[1].callback(None)
    memory.keep(1, SAID)

    assert len(writes) == 3
    assert memory.conflicts(1) == SAID


@pytest.mark.parametrize("restart", [False, True])
def test_an_event_belongs_to_the_module_that_had_the_index_when_it_happened(tmp_path: Path, restart: bool) -> None:
    """It was queued at the concentrator while another module took the place; a doubtful clock says nothing of then."""
    site = bench(tmp_path, state_file=tmp_path / "dmesh.sqlite")
    wire = Wire(site.service).shake()
    if restart:
        site.service.stop()
        site = bench(tmp_path / "again", state_file=tmp_path / "dmesh.sqlite")
        wire = Wire(site.service)
    heard = told(site)
    heir = Module(0xD100_0009, "C01-009", "C01", 2, ModuleState.ACTIVE)
    content = site.registry.directory.site
    site.registry.replace(attrs.evolve(content, modules=(*content.modules, heir)))
    wire.modules[2], wire.generation = (entries(3)[0], ModuleEntry(2, heir.eui, 1)), 2
    if restart:
        wire.shake()
    else:
        wire.say(ModuleJoined(2, (ModuleEntry(2, heir.eui, 1),)), corr=3)
    wire.say(Events((
        Event(1, EventCode.MODULE_LOST, True, NOON - 60, True, 2), Event(2, EventCode.MAGNET, True, NOON + 60, True, 2),
        Event(3, EventCode.COVER_OPEN, True, NOON - 60, False, 2), Event(4, EventCode.MAGNET, True, NOON - 60, True, 1),
    )), corr=4)

    assert [(one.device, one.code) for one in heard if one.code < EventCode.CONCENTRATOR_RESTARTED] == [
        ("C01-002", EventCode.MODULE_LOST), ("C01-009", EventCode.MAGNET), ("C01-009", EventCode.COVER_OPEN),
        ("C01-001", EventCode.MAGNET),
    ]
    assert site.registry.states == [(0xD100_0002, "lost")]


# ---------------------------------------------------------------------------------------------- conflicts
def stray(site: Bench, home: str) -> None:
    """The third module that C01 lists belongs to `home`."""
    site.registry.replace(Site(
        concentrators=(Concentrator("C01", LINK_ID), Concentrator("C02", LINK_ID + 1)),
        modules=(Module(entries(3)[2].eui, "X", home, 3, ModuleState.ACTIVE),),
    ))


def of(heard: list[DeviceEvent]) -> list[tuple[EventCode, bool]]:
    return [(EventCode(one.code), one.raised) for one in heard]


def test_a_conflict_is_remembered_over_a_restart_and_cleared_when_it_has_ended(tmp_path: Path) -> None:
    """Told once; and a move in the registry while the server stood still ends it."""
    heard = []
    for number, home in enumerate(("C02", "C02", "C01", "C01")):
        site = bench(tmp_path / str(number), state_file=tmp_path / "dmesh.sqlite")
        stray(site, home)
        news = told(site)
        Wire(site.service).shake()
        heard.append(of(news))
        site.service.stop()

    assert heard == [[(EventCode.WRONG_SUBNET, True)], [], [(EventCode.WRONG_SUBNET, False)], []]


def test_a_concentrator_that_left_the_registry_contradicts_nothing(tmp_path: Path) -> None:
    site = bench(tmp_path, state_file=tmp_path / "dmesh.sqlite")
    stray(site, "C02")
    news = told(site)
    Wire(site.service).shake()
    content = site.registry.directory.site
    site.registry.replace(attrs.evolve(content, concentrators=content.concentrators[1:]))

    assert of(news) == [(EventCode.WRONG_SUBNET, True), (EventCode.WRONG_SUBNET, False)]
    assert site.service._memory.contradicting == ()


def test_twins_stay_twins_while_one_of_their_concentrators_is_away_and_not_when_it_no_longer_lists_his(
    tmp_path: Path,
) -> None:
    """A restart brings the concentrators one by one: that alone is no news."""
    heard = []
    for number, at_home in enumerate((True, True, False)):
        site = bench(tmp_path / str(number), state_file=tmp_path / "dmesh.sqlite")
        site.keys.add_link(LINK_ID + 1, LINK_KEY)
        stray(site, "C02")
        news = told(site)
        there = Wire(site.service)
        home = Wire(site.service, Peer(hello(link_id=LINK_ID + 1)))
        home.modules[1] = (ModuleEntry(3, entries(3)[2].eui, 1, "", 1, 0, -70),) if at_home else ()
        for wire in (there, home) if number else (home, there):
            wire.shake()
        heard.append(of(news))
        site.service.stop()

    twins, moved = EventCode.DUPLICATE_EUI, EventCode.WRONG_SUBNET
    assert heard == [[(twins, True)], [], [(moved, True), (twins, False)]]
