"""Any backend through the ports of the embedded store: the same numbers as the store's own readers give."""

from pathlib import Path

import numpy as np
import pytest

from scada.historian.by_channel import ChannelReader, TagReader
from scada.historian.embedded import EmbeddedHistory
from scada.historian.service import open_reader
from scada.intervals import MISSING
from scada.ports import TagHistory
from tests.historian.helpers import FIRST_HOUR, block

FIRST_EUI = 0x00124B0000000001
START = FIRST_HOUR * 3600 * 10**9


@pytest.fixture
def place(tmp_path: Path) -> EmbeddedHistory:
    """Hours of two channels with a hole, quarters and halves of others, and a tag."""
    history = EmbeddedHistory(tmp_path / "history")
    status = np.zeros((2, 30), np.uint8)
    status[1, 3] = 4
    counts = np.arange(60).reshape(2, 30)
    counts[0, 5] = MISSING
    quarters = np.arange(40).reshape(1, 40)
    quarters[0, 6] = MISSING
    flags = np.zeros((1, 40), np.uint8)
    flags[0, 9] = 2
    history.write([
        block(counts, status=status, register=[100, 200]),
        block(quarters, eui=[FIRST_EUI + 2], first=FIRST_HOUR * 4, interval_s=900, status=flags),
        block([[7, 8, 9, 10]], eui=[FIRST_EUI + 3], first=FIRST_HOUR * 2, interval_s=1800),
    ])
    history.write_tag("T01/power", TagHistory(START + np.arange(5) * 10**9, np.arange(5.0), np.zeros(5, np.uint8)))
    return history


def test_hours_are_those_of_the_store_however_they_were_delivered(place: EmbeddedHistory, tmp_path: Path) -> None:
    """Also hours made of shorter intervals, where all of them are held."""
    eui, channel = FIRST_EUI + np.array([2, 0, 3, 1, 4], np.uint64), np.zeros(5, np.uint8)
    store, any_ = open_reader(tmp_path / "history").intervals, ChannelReader(place)
    theirs = store.read(store.slots(eui, channel), FIRST_HOUR - 2, 40)
    ours = any_.read(any_.slots(eui, channel), FIRST_HOUR - 2, 40)

    assert np.array_equal(ours.counts, theirs.counts)
    assert np.array_equal(ours.status, theirs.status)
    assert ours.counts[0, 2:5].tolist() == [0 + 1 + 2 + 3, MISSING, 8 + 9 + 10 + 11]
    assert ours.counts[2, 2:4].tolist() == [15, 19]
    assert any_.register(any_.slots(eui, channel), FIRST_HOUR + 2).tolist() == [MISSING, 101, MISSING, 261, MISSING]


def test_slots_lead_back_to_their_channels(place: EmbeddedHistory) -> None:
    """The same channel has the same slot."""
    reader = ChannelReader(place)
    eui, channel = np.array([5, 5, 2**63 + 1, 5], np.uint64), np.array([0, 1, 0, 0], np.uint8)
    slots = reader.slots(eui, channel)
    back = reader.channels(slots)

    assert (slots[0] == slots[3], len(set(slots.tolist())), reader.slot_bound()) == (True, 3, 3)
    assert (back[0].tolist(), back[1].tolist()) == (eui.tolist(), channel.tolist())


def test_tags_at_an_instant_are_as_they_were_said_then(place: EmbeddedHistory) -> None:
    """The newest at or before it, none older than asked, none of a tag that was never kept."""
    reader = TagReader(place)
    found = reader.at(["T01/power", "nobody/power"], START + 2 * 10**9, 10**9)
    old = reader.at(["T01/power"], START + 10 * 10**9, 10**9)

    assert (found.at.tolist(), found.values[0], found.quality.tolist()) == ([START + 2 * 10**9, 0], 2.0, [0, 32])
    assert np.isnan(found.values[1])
    assert old.at.tolist() == [0]
    assert reader.read("T01/power", START, START + 10**10, 2).values.tolist() == [3.0, 4.0]
