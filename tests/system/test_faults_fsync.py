"""An acknowledgement is a promise: the disk has the record before the concentrator may forget it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from scada.historian.journal import Journal, Position
from scada.historian.records import decode, provenances_of
from scada.simulate.truth import read_truth

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
Archive = tuple[int, int]               # link, archive


@attrs.frozen
class Story:
    """What happened, and where each record lies in the journal."""

    events: list[list[Any]]
    places: dict[Archive, dict[int, Position]]
    heard: dict[Archive, int]           # highest cursor each concentrator was acknowledged

    def said(self) -> dict[Archive, int]:
        """Highest cursor that was sent to each concentrator."""
        highest: dict[Archive, int] = {}
        for kind, *rest in self.events:
            if kind == "said":
                link, archive, cursor = rest
                highest[link, archive] = max(highest.get((link, archive), 0), cursor)
        return highest

    def premature(self) -> list[tuple[int, int]]:
        """(link, record) that was acknowledged when no fsync had covered its bytes yet."""
        durable: dict[int, int] = {}    # segment -> size that is on the disk
        checked: dict[Archive, int] = {}
        found = []
        for kind, *rest in self.events:
            if kind == "synced":
                segment, size = rest
                durable[segment] = max(durable.get(segment, 0), size)
                continue
            link, archive, cursor = rest
            for record in range(checked.get((link, archive), 0) + 1, cursor + 1):
                place = self.places.get((link, archive), {}).get(record)
                if place is None or durable.get(place.segment, 0) < place.offset:
                    found.append((link, record))
            checked[link, archive] = max(cursor, checked.get((link, archive), 0))
        return found


def tell(folder: Path, *words: str) -> Story:
    """Let the driver, the historian and two concentrators talk in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.system.fsync_order", str(folder), *words], cwd=ROOT, capture_output=True, text=True,
        timeout=90, check=True,
    )
    assert not done.stderr, done.stderr
    places: dict[Archive, dict[int, Position]] = {}
    for place, body in Journal(folder / "history" / "journal").read(Position()):
        for source in provenances_of(decode(body)):
            places.setdefault((source.link_id, source.archive_id), {}).setdefault(source.record, place)
    return Story(json.loads(done.stdout.splitlines()[-1]), places, read_truth(folder / "truth.json").cursors)


def test_every_acknowledgement_leaves_after_an_fsync_that_covers_its_records(tmp_path: Path) -> None:
    """Real driver, real store, real concentrators, real sockets: for every ARCH_ACK(n), record n was on the disk."""
    story = tell(tmp_path)

    assert story.premature() == []
    assert story.said() == story.heard                  # nobody was acknowledged behind our back
    assert sum(story.heard.values()) >= 80
    assert sum(kind == "synced" for kind, *_ in story.events) >= 5


def test_a_store_that_answers_before_its_fsync_is_found_out(tmp_path: Path) -> None:
    """The same story with a hasty store: the check above can fail."""
    story = tell(tmp_path, "hasty")

    assert len(story.premature()) >= 20
    assert story.said() == story.heard
