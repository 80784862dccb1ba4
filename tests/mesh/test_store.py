"""The history of the trees: what was never reported is nothing, and asking leaves the file as it was."""

from pathlib import Path

import pytest

from scada.clock import NS
from scada.errors import StorageError
from scada.mesh.history import GONE
from scada.mesh.store import MeshStore
from scada.network import Place

PLACE = Place(0xFFFF_0000_0000_0007, 7, 0, 1, 60 * NS)


def test_asking_about_a_concentrator_that_never_reported_writes_nothing(tmp_path: Path) -> None:
    """And it does not take the places of another one."""
    store = MeshStore(tmp_path / "network.sqlite")
    store.write("C01", [PLACE], [])
    log = tmp_path / "network.sqlite-wal"
    before = log.read_bytes()

    assert (store.tree("C09"), store.moments("C09"), store.changes("C09", 0)) == ({}, (), {})
    assert store.tree("C01") == {PLACE.eui: PLACE}
    assert log.read_bytes() == before
    store.close()


def test_what_cannot_be_stored_names_the_file_and_is_not_there(tmp_path: Path) -> None:
    """A place without an index: SQLite refuses the second of two."""
    store = MeshStore(tmp_path / "network.sqlite")
    broken = Place(PLACE.eui, None, 0, 1, 120 * NS)         # type: ignore[arg-type]
    with pytest.raises(StorageError, match=r"^the history of the radio network .*network\.sqlite cannot be used: NOT NULL"):
        store.write("C01", [PLACE, broken], [])

    assert store.tree("C01") == {}
    store.close()


def test_whom_a_module_sent_through_is_told_by_the_tree_of_then(tmp_path: Path) -> None:
    """Whatever has become of the module, of its relay and of the relay's index since."""
    store = MeshStore(tmp_path / "network.sqlite")
    relay, child, heir, other = (PLACE.eui + number for number in range(4))

    def write(at: int, *rows: tuple[int, int, int]) -> None:
        store.write("C01", [Place(eui, index, parent, 1, at * NS) for eui, index, parent in rows], [])

    write(100, (relay, 5, 0), (child, 6, 5), (other, 7, 5))
    write(200, (relay, 5, GONE), (child, 6, GONE), (heir, 5, 0), (other, 7, 6))
    then = store.through("C01", {child: 150 * NS, relay: 150 * NS, other: 150 * NS, heir: 150 * NS, 99: 150 * NS})
    later = store.through("C01", {child: 250 * NS, other: 250 * NS})
    before = store.through("C01", {child: 50 * NS})
    write(300, (child, 6, 5))

    assert then == {child: relay, relay: 0, other: relay, heir: 0}
    assert later == {child: relay, other: child}
    assert before == {child: relay}
    assert store.through("C01", {child: 300 * NS}) == {child: heir}
    assert store.through("C09", {child: 300 * NS}) == {}
    store.close()
