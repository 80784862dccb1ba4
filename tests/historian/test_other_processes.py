"""Readers in other processes while one writes and removes: what they see was there, whole, and never goes back."""

import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np

from scada.historian.compacting import compact
from scada.historian.removal import removed
from scada.historian.store import EmbeddedIntervals
from tests.historian.helpers import PumpedReactor, block
from tests.influx import ROOT

READER = """
import json, sys, time
from pathlib import Path
import numpy as np
from scada.historian.inspection import inspect
from scada.historian.service import open_reader
from scada.historian.verification import verify
from tests.historian.busy import CHANNELS, OLD, MONTH_H
from tests.historian.helpers import FIRST_HOUR

directory, torn, gone_back, old, before, reads = Path(sys.argv[1]), 0, 0, 0, 0, 0
reader = open_reader(directory)
eui = np.array(0x00124B0000000001 + np.arange(CHANNELS), dtype=np.uint64)
print("ready", flush=True)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    slots = reader.intervals.slots(eui, np.zeros(CHANNELS, np.uint8))
    first = max(before - 3, 0)
    days = reader.intervals.read(slots, FIRST_HOUR + 24 * first, 24 * 400).counts.reshape(CHANNELS, 400, 24)
    held = np.flatnonzero((days >= 0).all(axis=(0, 2))) + first
    part = (days >= 0).any(axis=(0, 2)).sum() - len(held)
    wrong = [one for one in held.tolist() if not (days[:, one - first] == one).all()]
    torn += len(wrong) + int(part)
    newest = int(held.max(initial=0))
    gone_back += newest < before
    before, reads = max(before, newest), reads + 1
    for month in range(5):
        counts = reader.intervals.read(slots, OLD + month * MONTH_H, 24).counts
        whole = (counts == counts[0, 0]).all() and counts[0, 0] in (-1, 7)
        torn += not whole
        old += int(counts[0, 0] >= 0)
reader.close()
print(json.dumps({"torn": torn, "gone_back": gone_back, "old": old, "newest": before, "reads": reads,
                  "damaged": reader.intervals.damaged + len(reader.intervals.damaged_files)}))
"""


def test_readers_see_whole_days_that_stay_while_months_are_written_and_removed(tmp_path: Path) -> None:
    """Three processes: one writes a day a record and removes old months all the time, two read without pause."""
    directory = tmp_path / "history"
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.historian.busy", str(directory)], cwd=ROOT, stdout=subprocess.PIPE,
    )
    readers: list[subprocess.Popen[str]] = []
    assert writer.stdout is not None
    lines: list[int] = []
    try:
        writer.stdout.readline()
        pump = threading.Thread(target=lambda: lines.extend(int(line) for line in writer.stdout or ()), daemon=True)
        pump.start()
        readers += [
            subprocess.Popen(
                [sys.executable, "-c", READER, str(directory), "4"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(2)
        ]
        said = [reader.communicate(timeout=90)[0] for reader in readers]
        assert writer.poll() is None
    finally:
        for process in (writer, *readers):
            process.kill()
            process.wait(timeout=60)
    found = [json.loads(text.splitlines()[-1]) for text in said]

    assert [(one["torn"], one["gone_back"], one["damaged"]) for one in found] == [(0, 0, 0)] * 2
    assert all(one["reads"] > 3 and one["newest"] > 20 for one in found), found
    assert sum(one["old"] for one in found) > 0             # old months were seen before they went
    assert len([one for one in removed(directory) if one["kind"] == "intervals"]) > 2
    assert lines


SAME = """
import json, sys, time
from pathlib import Path
import numpy as np
from scada.historian.service import open_reader
from tests.historian.helpers import FIRST_HOUR

reader, reads, other = open_reader(Path(sys.argv[1])), 0, 0
print("ready", flush=True)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    counts = reader.intervals.read(np.arange(200), FIRST_HOUR, 48).counts
    reads, other = reads + 1, other + int(not (counts == np.arange(200 * 48).reshape(200, 48)).all())
print(json.dumps({"reads": reads, "other": other}))
"""


def test_readers_see_the_same_while_files_are_written_anew(tmp_path: Path) -> None:
    """Compacting is for a stopped server; whoever reads meanwhile is not disturbed, nor does he disturb."""
    reactor = PumpedReactor()
    store = EmbeddedIntervals(tmp_path, reactor)
    store.open()
    store.start()
    reactor.wait(store.commit(block(np.arange(200 * 48).reshape(200, 48), record=1)))
    store.close()
    reader = subprocess.Popen(
        [sys.executable, "-c", SAME, str(tmp_path), "2"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    compacted = 0
    while reader.poll() is None:
        with closing(sqlite3.connect(tmp_path / "intervals-2026-01.sqlite", timeout=30)) as database, database:
            columns = "interval_s, day, block, version, 'x', zeroblob(200000), counts, NULL, NULL"
            database.execute(f"INSERT OR REPLACE INTO damaged SELECT {columns} FROM block")
            database.commit()
            database.execute("DELETE FROM damaged")
        compacted += len(compact(tmp_path).files)
    said = json.loads(reader.stdout.read())

    assert said["other"] == 0
    assert said["reads"] > 10
    assert compacted > 2
