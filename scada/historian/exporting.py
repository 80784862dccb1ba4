"""History written out as Parquet files, a folder a kind and a file a month, beside a running server.

Each month file is read in one instant. What is in the journal and not in blocks yet, a tenth of a second, is not in it.
The folder appears whole or not at all: it has another name until every file and their list are on the disk.
"""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from scada import __version__
from scada.errors import StorageError
from scada.historian.copying import digest_of, free_folder, write_durably
from scada.historian.export_events import event_rows
from scada.historian.export_intervals import interval_rows
from scada.historian.export_live import live_rows
from scada.historian.export_results import result_rows
from scada.historian.export_wanted import FOREVER, Rows, Wanted
from scada.historian.exported import EXPORT, KINDS, Export, Part, encode
from scada.historian.holding import held
from scada.historian.inspection import sizes_of
from scada.historian.journal import sync_directory
from scada.historian.parquet import Writer
from scada.historian.refusals import sentence
from scada.historian.state import STATE_FILE

Advance = Callable[[str, float], None]              # what is being written, and rows done
_ROWS: Final[dict[str, Callable[[Path, Wanted], Iterator[Rows]]]] = {
    "intervals": interval_rows, "live": live_rows, "results": result_rows, "events": event_rows,
}


def bytes_to_read(directory: Path, kinds: Sequence[str] = KINDS) -> int:
    sizes = sizes_of(directory, ())
    return sum(sizes["months" if kind == "intervals" else kind] for kind in kinds)


def export(
    directory: Path, target: Path, kinds: Sequence[str] = KINDS, first: int | None = None, last: int | None = None,
    advance: Advance = lambda what, done: None,
) -> Export:
    """
    Write [first, last) in s since 1970 into an empty or new folder; durable when it returns. Raises `StorageError`, and
    then nothing has that name.
    """
    if not (directory / STATE_FILE).exists():
        raise StorageError(f"{directory} holds no history")
    free_folder(target)
    partial = target.with_name(f".{target.name}.exporting")
    try:
        if partial.exists():
            shutil.rmtree(partial)                  # of an export that was interrupted
        partial.mkdir(parents=True)
        begun, parts = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"), list[Part]()
        wanted = Wanted(first if first is not None else 0, last if last is not None else FOREVER)
        with held(directory):
            for kind in (one for one in KINDS if one in kinds):
                parts += _written(directory, partial, kind, wanted, advance)
        made = Export(
            __version__, begun, tuple(one for one in KINDS if one in kinds), first, last, tuple(parts),
            tuple(wanted.damaged), wanted.unnamed,
        )
        write_durably(partial / EXPORT, iter((encode(made).encode(),)))
        for folder in [partial, *(path for path in partial.rglob("*") if path.is_dir())]:
            sync_directory(folder)
        partial.replace(target)
        sync_directory(target.parent)
    except OSError as error:
        raise StorageError(sentence("the export", target, error)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # it has its name, or it is none
    return made


def _written(directory: Path, target: Path, kind: str, wanted: Wanted, advance: Advance) -> Iterator[Part]:
    for month, rows in itertools.groupby(_ROWS[kind](directory, wanted), key=lambda one: one[0]):
        name = f"{kind}/month={month}/part-0.parquet"
        with Writer(target / name, kind) as writer:
            for _, columns in rows:
                writer.put(columns)
                advance(name, float(_bytes(columns)))
            writer.finish()
        with (target / name).open("rb") as file:
            os.fsync(file.fileno())
        yield Part(name, kind, writer.rows, *digest_of(target / name))


def _bytes(columns: dict[str, NDArray[Any]]) -> int:
    return int(sum(column.nbytes for column in columns.values()))
