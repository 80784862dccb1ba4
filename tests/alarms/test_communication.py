"""Silence is one alarm per device, and what lies in a silent device is not named again."""

import numpy as np
import pytest

from scada.alarms.communication import device_table, evaluate
from scada.tags import Device, Quality, Snapshot, TagDef

TAGS = (TagDef("a"), TagDef("b"))
DEVICES = (Device("C01", TAGS), Device("C01-001", TAGS, ("C01",)), Device("T01", TAGS, ("Transformer",)))
INDEX = {name: place for place, name in enumerate(f"{device.name}/{tag.point}" for device in DEVICES for tag in TAGS)}


def now(*qualities, before=((False, False), (False, False))):
    zeros = np.zeros(6, dtype=np.int64)
    snapshot = Snapshot(tuple(INDEX), INDEX, np.zeros(6), np.array(qualities, dtype=np.uint8), zeros, zeros, 0)
    return evaluate(device_table(DEVICES, INDEX), snapshot, np.array(before)).tolist()


G, S, N, W = Quality.GOOD, Quality.BAD_STALE, Quality.BAD_NOT_CONNECTED, Quality.BAD_WAITING


@pytest.mark.parametrize(("qualities", "concentrator", "module"), [
    ((G, G, G, G), [False, False], [False, False]),
    ((G, G, S, S), [False, False], [False, True]),
    ((G, G, S, G), [False, False], [False, True]),
    ((G, G, N, S), [False, False], [True, False]),
    ((N, N, N, N), [True, False], [False, False]),
    ((S, S, G, G), [False, True], [False, False]),
])
def test_one_answer_per_device(qualities, concentrator, module):
    """Cut off goes before silent; the concentrator speaks for its modules."""
    assert now(*qualities, G, G) == [concentrator, module]


def test_after_a_restart_what_held_goes_on_until_the_device_says_something():
    """Waiting for first data is neither silence nor an answer."""
    before = ((False, False), (False, True))

    assert now(W, W, W, W, W, W, before=before) == [[False, False], [False, True]]
    assert now(W, W, G, W, W, W, before=before) == [[False, False], [False, False]]


def test_computed_devices_do_not_repeat_their_meters_silence():
    """T01 goes stale because T01-meter does."""
    assert device_table(DEVICES, INDEX).devices == ("C01", "C01-001")
