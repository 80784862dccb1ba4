"""An export comes into a historian that is not running, through the same door as what the field delivers.

Interval data goes through the journal into the blocks by the rules of every delivery: what is held stays, another value
for it is kept as a conflict, and the same import again changes nothing. Live samples join the chunks, the very same ones
once. Of results, rows that are held stay; of events too.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.errors import StorageError
from scada.historian.copying import digest_of
from scada.historian.exported import Export, Part, read_export
from scada.historian.import_events import enter_events
from scada.historian.import_intervals import enter_intervals
from scada.historian.import_results import enter_results
from scada.historian.livefiles import LiveFiles
from scada.historian.offline import alone
from scada.historian.parquet import groups
from scada.historian.refusals import sentence
from scada.historian.samples import Samples

Advance = Callable[[str, float], None]              # what is being read, and bytes done
Group = dict[str, NDArray[Any]]                     # a row group: columns by name
ROLL_ROWS: Final = 1 << 20                          # live samples between two rolls


@attrs.define
class Imported:
    """What came in."""

    rows: dict[str, int] = attrs.field(factory=dict)            # read, by kind
    conflicts: int = 0                              # interval values that contradict what is held, and were not known yet
    events_new: int = 0                             # that were not held
    results_kept: int = 0                           # rows of results that differ from what is held, which stays


def import_export(
    directory: Path, source: Path, received: int, advance: Advance = lambda what, done: None
) -> Imported:
    """
    Enter all of an export; `received` [ns] is when. Durable when it returns; may be repeated after a crash.

    Raises `StorageError` before anything is entered where a file is not what was exported, `StartError` where a server
    has the folder.
    """
    export, done = read_export(source), Imported()
    _check(source, export)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(sentence("the store", directory, error)) from error
    for kind in export.kinds:
        parts = [part for part in export.files if part.kind == kind]
        if not parts:
            continue
        done.rows[kind] = export.rows(kind)
        rows = _groups(source, parts, advance)
        match kind:
            case "intervals":
                done.conflicts = enter_intervals(directory, rows, received)
            case "live":
                _enter_live(directory, rows)
            case "results":
                done.results_kept = enter_results(directory, rows)
            case "events":
                done.events_new = enter_events(directory, rows)
    return done


# ---------------------------------------------------------------------- private
def _groups(source: Path, parts: list[Part], advance: Advance) -> Iterator[Group]:
    for part in parts:
        for group in groups(source / part.name, part.kind):
            yield group
            advance(part.name, part.size * len(next(iter(group.values()))) / max(part.rows, 1))


def _check(source: Path, export: Export) -> None:
    wrong = []
    for part in export.files:
        try:
            if digest_of(source / part.name) != (part.size, part.sha256):
                wrong.append(f"{part.name} is not what was written")
        except FileNotFoundError:
            wrong.append(f"{part.name} is missing")
        except OSError as error:
            wrong.append(f"{part.name} cannot be read: {error.strerror}")
    if wrong:
        raise StorageError(f"the export in {source} is damaged, nothing was imported: {'; '.join(wrong)}")


def _enter_live(directory: Path, rows: Iterator[Group]) -> None:
    with alone(directory), closing(LiveFiles(directory)) as files:
        numbers, waiting = files.open(), 0
        highest = max(numbers.values(), default=0)
        for group in rows:
            names, codes = np.unique(group["tag"].astype(str), return_inverse=True)
            new = [name for name in names.tolist() if name not in numbers]
            fresh = {name: highest + place for place, name in enumerate(new, 1)}
            numbers |= fresh
            highest += len(fresh)
            tags = np.array([numbers[name] for name in names.tolist()], np.int32)[codes.reshape(-1)]
            files.append([(number, name) for name, number in fresh.items()], Samples(
                tags, group["at"], group["value"], group["quality"],
            ))
            waiting += len(tags)
            if waiting >= ROLL_ROWS:
                files.roll()
                waiting = 0
        files.roll()
