"""A backup becomes a historian's folder again: every file is compared with the manifest while it is copied.

To an instant: the files of the newest backup that has nothing received later, and the journal from there on, which later
backups hold, up to the last record that was received by then. The next start merges it, as after a crash. Live samples are
those of the backup after it, up to the instant, and so are events, by when they were received. Results and what was set
aside are as in the backup before it.
"""

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs

from scada.clock import NS
from scada.errors import StorageError
from scada.historian.copying import free_folder, pieces_of, write_durably
from scada.historian.event_rows import EVENT_FILE, cut_events
from scada.historian.journal import sync_directory
from scada.historian.live_cut import cut_live
from scada.historian.manifest import Entry, Manifest, read_manifests
from scada.historian.records import received_of
from scada.historian.refusals import sentence
from scada.historian.segment import HEAD_BYTES, Rotten, scan

Advance = Callable[[str, int], None]                # what is being copied, and bytes done


@attrs.frozen
class Restored:
    """What a restore gives."""

    base: Manifest                                  # results are as in it
    files: tuple[Entry, ...]
    reaches: int                                    # ns, site time: when the newest record was received
    cut: bool                                       # whether records received later were left out

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.files)


def to_copy(backup: Path, at: int | None = None) -> Restored:
    """What would be restored, to the newest or to an instant [ns, site time]; `reaches` only of a whole backup."""
    manifests = read_manifests(backup)
    if at is None:
        newest = manifests[-1]
        return Restored(newest, newest.files, newest.reaches, False)
    before = [one for one in manifests if one.reaches <= at]
    if not before:
        oldest = _utc(manifests[0].reaches)
        raise StorageError(f"the oldest backup in {backup} reaches {oldest}; an earlier instant cannot be restored")
    base = before[-1]
    after = manifests[len(before) - 1:]
    files = {entry.name: entry for entry in base.files if _segment(entry) is None}
    files |= {entry.name: entry for entry in after[min(1, len(after) - 1)].files if _later(entry.name)}
    return Restored(base, (*files.values(), *_journal(backup, base, after, at)), base.reaches, False)


def restore(
    backup: Path, target: Path, at: int | None = None, advance: Advance = lambda what, done: None
) -> Restored:
    """
    Make an empty or new folder what the backup holds, the newest or as of an instant; durable when it returns.

    The folder appears whole or not at all. Raises `StorageError` that names every file which is not what was backed up.
    """
    plan = to_copy(backup, at)
    free_folder(target)
    partial = target.with_name(f".{target.name}.restoring")
    try:
        if partial.exists():
            shutil.rmtree(partial)                  # of a restore that was interrupted
        partial.mkdir(parents=True, mode=0o700)
        wrong = [text for entry in plan.files if (text := _copied(backup, partial, entry, advance))]
        if wrong:
            shutil.rmtree(partial)
            raise StorageError(f"the backup in {backup} is damaged, nothing was restored: {'; '.join(wrong)}")
        if at is not None:
            plan = _cut(partial, plan, at)
            cut_live(partial, at)
        cut_events(partial / EVENT_FILE, at)
        for folder in [partial, *(path for path in partial.rglob("*") if path.is_dir())]:
            sync_directory(folder)
        partial.replace(target)
        sync_directory(target.parent)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StorageError(sentence("the history", target, error)) from error
    return plan


# ---------------------------------------------------------------------- private
def _copied(backup: Path, target: Path, entry: Entry, advance: Advance) -> str:
    """Copy a file; why it is not the one that was backed up, "" = it is."""
    try:
        size, digest = write_durably(
            target / entry.name, pieces_of(backup / entry.place), lambda done: advance(entry.name, done)
        )
    except FileNotFoundError:
        return f"{entry.place} is missing"
    if size != entry.size:
        return f"{entry.place} has {size:,} bytes, expected {entry.size:,}"
    return "" if digest == entry.sha256 else f"{entry.place} is not what was written"


def _later(name: str) -> bool:
    """Whether a file is taken from the backup behind the instant, and cut: what is in it has the time when it came."""
    return name.startswith("live-") or name == EVENT_FILE


def _segment(entry: Entry) -> int | None:
    """The number of a segment of the journal; None for another file."""
    folder, _, name = entry.name.rpartition("/")
    return int(name.removesuffix(".journal")) if folder == "journal" and name.endswith(".journal") else None


def _journal(backup: Path, base: Manifest, manifests: Sequence[Manifest], at: int) -> list[Entry]:
    """The segments from the base's on, each as the last backup that has it; without a hole before the instant."""
    longest: dict[int, Entry] = {}
    for entry in (one for manifest in manifests for one in (*manifest.files, *manifest.log)):
        number = _segment(entry)
        if number is None or number < base.segment or (number in longest and longest[number].size > entry.size):
            continue
        longest[number] = entry
    numbers = sorted(longest)
    whole = [number for place, number in enumerate(numbers) if number == numbers[0] + place]
    if len(whole) < len(numbers) and (upto := _newest(backup / longest[whole[-1]].place)) < at:
        later = _utc(next((one.reaches for one in manifests if one.reaches > at), manifests[-1].reaches))
        raise StorageError(
            f"the journal between the backups that reach {_utc(base.reaches)} and {later} is not whole: segment "
            f"{whole[-1] + 1} is missing. Up to {_utc(upto)} can be restored, and {later}; "
            f"historian.retention.journal_days says how long the journal is kept"
        )
    return [longest[number] for number in whole]


def _newest(path: Path) -> int:
    """When the newest record of a segment was received."""
    if not path.exists():
        return 0                                    # named when it is copied
    return max((received_of(one.body) for one in scan(path.read_bytes()) if not isinstance(one, Rotten)), default=0)


def _cut(folder: Path, plan: Restored, at: int) -> Restored:
    """End the journal before the first record received after the instant."""
    reaches, cut = 0, False
    for entry in (one for one in plan.files if _segment(one) is not None):
        path = folder / entry.name
        if cut:
            path.unlink()
            continue
        data = path.read_bytes()
        for item in scan(data):
            if isinstance(item, Rotten):
                continue                            # the next start names it
            if received_of(item.body) > at:
                path.unlink()
                write_durably(path, iter((data[:item.end - len(item.body) - HEAD_BYTES],)))
                cut = True
                break
            reaches = max(reaches, received_of(item.body))
    return attrs.evolve(plan, reaches=reaches or plan.base.reaches, cut=cut)


def _utc(at: int) -> str:
    return datetime.fromtimestamp(at / NS, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
