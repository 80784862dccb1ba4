"""A backup becomes a historian's folder again: every file is compared with the manifest while it is copied."""

import shutil
from collections.abc import Callable
from pathlib import Path

from scada.errors import StorageError
from scada.historian.copying import free_folder, pieces_of, write_durably
from scada.historian.journal import sync_directory
from scada.historian.manifest import MANIFEST, Entry, Manifest, decode
from scada.historian.refusals import sentence

Advance = Callable[[str, int], None]                # what is being copied, and bytes done


def read_manifest(backup: Path) -> Manifest:
    """Of a finished backup; raises `StorageError`."""
    try:
        return decode((backup / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StorageError(f"{backup} has no {MANIFEST}: it is no backup, or one that was not finished") from None
    except (StorageError, UnicodeDecodeError) as error:
        raise StorageError(f"{backup / MANIFEST}: {error}") from None


def restore(backup: Path, target: Path, advance: Advance = lambda what, done: None) -> Manifest:
    """
    Make an empty or new folder what the backup holds; durable when it returns.

    The folder appears whole or not at all. Raises `StorageError` that names every file which is not what was backed up.
    """
    manifest = read_manifest(backup)
    free_folder(target)
    partial = target.with_name(f".{target.name}.restoring")
    try:
        if partial.exists():
            shutil.rmtree(partial)                  # of a restore that was interrupted
        partial.mkdir(parents=True, mode=0o700)
        wrong = [text for entry in manifest.files if (text := _copied(backup, partial, entry, advance))]
        if wrong:
            shutil.rmtree(partial)
            raise StorageError(f"the backup in {backup} is damaged, nothing was restored: {'; '.join(wrong)}")
        for folder in [partial, *(path for path in partial.rglob("*") if path.is_dir())]:
            sync_directory(folder)
        partial.replace(target)
        sync_directory(target.parent)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StorageError(sentence("the history", target, error)) from error
    return manifest


def _copied(backup: Path, target: Path, entry: Entry, advance: Advance) -> str:
    """Copy a file; why it is not the one that was backed up, "" = it is."""
    try:
        size, digest = write_durably(
            target / entry.name, pieces_of(backup / entry.name), lambda done: advance(entry.name, done)
        )
    except FileNotFoundError:
        return f"{entry.name} is missing"
    if size != entry.size:
        return f"{entry.name} has {size:,} bytes, expected {entry.size:,}"
    return "" if digest == entry.sha256 else f"{entry.name} is not what was written"
