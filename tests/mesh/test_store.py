"""The history of the trees: what was never reported is nothing, and asking leaves the file as it was."""

from pathlib import Path

import pytest

from scada.clock import NS
from scada.errors import StorageError
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
