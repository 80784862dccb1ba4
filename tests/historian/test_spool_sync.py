"""Durable when it returns: the disk has what was put into the spool, which a kill -9 alone would never show."""

import json
import subprocess
import sys
from pathlib import Path

from tests.influx import ROOT


def premature(folder: Path, *words: str) -> tuple[list[str], int]:
    """What returned though nothing was synced since the step before it; and how many steps there were."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.historian.spool_sync", str(folder), *words], cwd=ROOT, capture_output=True, text=True,
        timeout=60, check=True,
    )
    found, synced, steps = [], False, 0
    for event in json.loads(done.stdout.splitlines()[-1]):
        if event.startswith("synced"):
            synced |= event == "synced spool.sqlite-wal"
            continue
        steps += 1
        if not synced:
            found.append(event)
        synced = False
    return found, steps


def test_whatever_the_spool_does_is_on_the_disk_when_it_returns(tmp_path: Path) -> None:
    """Bodies, dead letters, what was sent, what was confirmed."""
    assert premature(tmp_path) == ([], 23)


def test_a_spool_that_does_not_wait_for_the_disk_is_found_out(tmp_path: Path) -> None:
    """The check above can fail."""
    found, _ = premature(tmp_path, "hasty")

    assert len(found) >= 15
