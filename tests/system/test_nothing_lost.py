"""The promise the product lives by: what was acknowledged is in the historian, exactly once."""

import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
import pytest
from numpy.typing import NDArray

from scada.historian.service import HistoryReader, open_reader
from scada.intervals import MISSING
from scada.simulate.truth import Key, Truth, read_truth

from .harness import Site, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
HEAD = re.compile(r'^\{"is":"(ack|record)","link":(\d+),"archive":(\d+),"record":(\d+)[,}]', re.MULTILINE)
HOUR_AT_600 = 6.0                       # real seconds


def slots_of(reader: HistoryReader, channels: list[tuple[int, int]]) -> NDArray[np.int64]:
    eui = np.array([eui for eui, _ in channels], dtype=np.uint64)
    return reader.intervals.slots(eui, np.array([channel for _, channel in channels], dtype=np.uint8))


def stored(history: Path, keys: list[Key]) -> dict[Key, int]:
    """What the historian holds for (EUI, channel, hour) keys; left out where it holds nothing."""
    reader = open_reader(history)
    channels = sorted({(eui, channel) for eui, channel, _ in keys})
    hours = [hour for _, _, hour in keys]
    first, count = min(hours), max(hours) - min(hours) + 1
    slots = slots_of(reader, channels)
    series = reader.intervals.read(slots, first, count)
    reader.close()
    return {
        (*channels[row], first + column): int(series.counts[row, column])
        for row, column in zip(*np.nonzero(series.counts != MISSING), strict=True)
    }


def newest(site: Site, kind: str) -> dict[tuple[str, str], int]:
    """(link, archive) -> the highest number of an "ack" or a "record" so far.

    Only the heads of the truth file's lines: it is asked ten times a second, and the pulses are most of the file.
    """
    found: dict[tuple[str, str], int] = {}
    if site.truth_file.exists():
        for said, link, archive, record in HEAD.findall(site.truth_file.read_text(encoding="utf-8")):
            if said == kind:
                found[link, archive] = max(found.get((link, archive), 0), int(record))
    return found


def records_acknowledged(site: Site) -> int:
    return sum(newest(site, "ack").values())


def everything_acknowledged(site: Site) -> bool:
    records, acknowledged = newest(site, "record"), newest(site, "ack")
    return len(records) == 2 and all(acknowledged.get(place, 0) >= record for place, record in records.items())


@attrs.frozen
class Survived:
    """A site after its server was killed again and again, at moments that follow from the seed."""

    site: Site
    seed: int

    @property
    def truth(self) -> Truth:
        return read_truth(self.site.truth_file)


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Survived]:
    """At 600 x, ready or still starting; the field goes on delivering while the server is dead."""
    seed = random.SystemRandom().randrange(10_000)
    site = Site(tmp_path_factory.mktemp("killed"), speed=600.0, field=("--history", "48"))
    try:
        yield kill_at_five_moments(site.start(), seed)
    finally:
        site.close()


def kill_at_five_moments(site: Site, seed: int) -> Survived:
    moments = random.Random(seed)
    for while_starting in (False, True, False, True, False):
        before = records_acknowledged(site)
        time.sleep(moments.uniform(0.2, HOUR_AT_600 / 2))
        assert site.server is not None
        if while_starting:                  # stopped in good order, and killed while it reads its journals again
            site.server.stop()
            site.start_server(ready=False)
            time.sleep(moments.uniform(0.1, 2.0))
        assert site.server.alive(), site.server.output[-2000:]
        site.server.kill()
        time.sleep(moments.uniform(0.0, 2.0))
        site.start_server()
        wait_for(lambda known=before: records_acknowledged(site) > known, f"records after the restart (seed {seed})")
    wait_for(lambda: everything_acknowledged(site), f"the whole archive to be acknowledged (seed {seed})")
    assert site.field is not None
    assert site.server is not None
    site.field.stop()
    site.server.stop()
    return Survived(site, seed)


def test_every_acknowledged_pulse_is_stored_exactly_once_after_kill_9_at_five_random_moments(survived: Survived) -> None:
    """The truth file decides."""
    truth, seed = survived.truth, survived.seed
    acknowledged = truth.acknowledged()
    held = stored(survived.site.folder / "data" / "history", list(acknowledged))

    assert len(acknowledged) > 5_000
    assert {key: held.get(key) for key in acknowledged} == acknowledged, f"seed {seed}"
    assert {key: truth.counted[key] for key in acknowledged} == acknowledged
    everything_sent = {key for pulses in truth.records.values() for key in pulses}
    assert held.keys() <= everything_sent


def test_the_register_base_plus_the_pulses_is_the_next_register(survived: Survived) -> None:
    """Sums over the stored hours agree with the registers that were delivered beside them: nothing twice."""
    acknowledged = survived.truth.acknowledged()
    reader = open_reader(survived.site.folder / "data" / "history")
    channels = sorted({(eui, channel) for eui, channel, _ in acknowledged})
    hours = sorted({hour for _, _, hour in acknowledged})
    slots = slots_of(reader, channels)
    middle = hours[len(hours) // 2]
    counts = reader.intervals.read(slots, hours[0], middle - hours[0]).counts
    whole = (counts != MISSING).all(axis=1)
    start, end = reader.intervals.register(slots, hours[0]), reader.intervals.register(slots, middle)
    reader.close()

    assert whole.sum() > 100, f"seed {survived.seed}"
    assert (end - start)[whole].tolist() == counts.sum(axis=1)[whole].tolist(), f"seed {survived.seed}"
