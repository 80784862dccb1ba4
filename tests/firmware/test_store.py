"""What of firmware outlives the server: a campaign is read back as it was, and memory stays bounded."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from scada.errors import StartError, StorageError
from scada.firmware import store as module
from scada.firmware.campaign import Campaign, Progress
from scada.firmware.machine import Event
from scada.firmware.store import Course, FirmwareStore, Package, kept
from scada.rollout import UpdateState
from tests.firmware.test_machine import IMAGE, campaign

IMAGES = {IMAGE.id: IMAGE}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FirmwareStore]:
    made = FirmwareStore(tmp_path / module.FILE)
    made.open()
    made.add_image(Package(IMAGE.id, b"m", bytes(64), 5, "ana"), b"content")
    yield made
    made.close()


def again(store: FirmwareStore) -> list[Campaign]:
    store.close()
    store.open()
    return store.campaigns(IMAGES)


def test_a_campaign_that_paused_by_itself_is_read_back_as_it_was(store: FirmwareStore) -> None:
    """State, stage, who tried and failed with which reason, what was forgiven; nothing more is due than before."""
    one = campaign()
    store.add_campaign(one)
    one.apply(Event.START, 7)
    one.put(1, Progress(UpdateState.FAILED, "no answer in time", 3, 9))
    one.put(2, Progress(UpdateState.TRANSFER, "", 2, 9))
    one.apply(Event.TROUBLE, 10, "1 of 2 modules of the stage have failed")
    store.save(Course.of(one, (1, 2)))
    (found,) = again(store)

    assert found.status() == one.status()
    assert found.tripped
    assert found.progress == one.progress
    assert found.members == one.members
    assert [getattr(found, name) for name in module.COURSE] == [getattr(one, name) for name in module.COURSE]


def test_only_the_newest_campaigns_that_are_over_stay_in_memory(
    store: FirmwareStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are not over stay whatever their age; the file keeps all."""
    monkeypatch.setattr(module, "KEPT", 2)
    for number in range(1, 6):
        one = attrs.evolve(campaign(), number=number)
        if number != 1:
            one.apply(Event.ABORT, 1)
        store.add_campaign(one)

    assert [one.number for one in again(store)] == [1, 4, 5]


def test_large_campaigns_leave_memory_earlier() -> None:
    """The newest never: the next number follows from it."""
    half = module.KEPT_MEMBERS // 2 + 1

    assert kept([(1, True, half), (2, False, 9 * half), (3, True, half)]) == {2, 3}
    assert kept([(1, True, 1), (2, True, 1)]) == {1, 2}
    assert kept([(1, True, 1), (2, True, 3 * half)]) == {2}


def test_a_file_of_another_version_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / module.FILE
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(StartError, match=r"was written by another version \(tables 99, expected 1\)"):
        FirmwareStore(path).open()


def test_a_closed_store_says_so(store: FirmwareStore) -> None:
    store.close()
    with pytest.raises(StorageError, match="closed"):
        store.packages()
