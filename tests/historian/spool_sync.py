"""A spool whose every sync of its file is told, in a process of its own: SQLite is given another way to the disk.

Run as: python -m tests.historian.spool_sync FOLDER [hasty]

`hasty` tells SQLite not to wait for the disk: so that the test sees what it looks for. The last line it prints is a JSON
list of "synced NAME" and "returned WHAT", in their order.
"""

import ctypes
import json
import sys
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_void_p, cast
from pathlib import Path
from typing import Any, ClassVar

from scada.historian.spool import LIVE, Spool

events: list[str] = []
Sync = CFUNCTYPE(c_int, c_void_p, c_int)
METHODS = 18                            # of version 3


class IoMethods(Structure):
    _fields_: ClassVar[Any] = [("version", c_int), ("methods", c_void_p * METHODS)]


class File(Structure):
    _fields_: ClassVar[Any] = [("methods", POINTER(IoMethods))]


Open = CFUNCTYPE(c_int, c_void_p, c_char_p, c_void_p, c_int, c_void_p)
X_SYNC = 4                              # after close, read, write, truncate


class Vfs(Structure):
    _fields_: ClassVar[Any] = [
        ("version", c_int), ("file_size", c_int), ("longest_name", c_int), ("next", c_void_p), ("name", c_char_p),
        ("data", c_void_p), ("open", c_void_p),
    ]


class Overheard:
    """SQLite's door to files, which tells of every sync after it returned."""

    def __init__(self) -> None:
        library = ctypes.CDLL("libsqlite3.so.0")        # the one Python's module uses
        library.sqlite3_vfs_find.restype = POINTER(Vfs)
        self._vfs = library.sqlite3_vfs_find(None).contents
        self._open = Open(self._vfs.open)
        self._names: dict[int, str] = {}
        self._syncs: dict[int, Any] = {}                # original methods of a file -> its sync
        self._copies: dict[int, Any] = {}
        self._mine, self._sync = Open(self.open), Sync(self.sync)
        self._vfs.open = cast(self._mine, c_void_p).value

    def open(self, vfs: int, name: bytes | None, file: int, flags: int, out: int) -> int:
        done: int = self._open(vfs, name, file, flags, out)
        if done == 0:
            opened = cast(file, POINTER(File)).contents
            original = ctypes.addressof(opened.methods.contents)
            if original not in self._copies:
                copy = IoMethods.from_buffer_copy(opened.methods.contents)
                self._syncs[ctypes.addressof(copy)] = Sync(copy.methods[X_SYNC])
                copy.methods[X_SYNC] = cast(self._sync, c_void_p).value
                self._copies[original] = copy
            opened.methods = ctypes.pointer(self._copies[original])
            self._names[file] = Path((name or b"").decode()).name
        return done

    def sync(self, file: int, flags: int) -> int:
        methods = ctypes.addressof(cast(file, POINTER(File)).contents.methods.contents)
        done: int = self._syncs[methods](file, flags)
        events.append(f"synced {self._names[file]}")
        return done


def main(folder: Path, hasty: bool) -> None:
    overheard = Overheard()
    spool = Spool(folder / "spool.sqlite", 1 << 30)
    spool.open()
    if hasty:
        spool._open().execute("PRAGMA synchronous=NORMAL")
    for number in range(20):
        spool.put(b"live,tag=a v=1 1\n", 1, number)
        events.append("returned put")
    spool.bury([("live,tag=a v= 1", "why")], 1)
    events.append("returned bury")
    spool.mark_sent((3600, 1, 1), 1)
    events.append("returned mark_sent")
    item = spool.take(LIVE)
    assert item is not None
    spool.done(item.number)
    events.append("returned done")
    spool.close()
    assert overheard
    print(json.dumps(events))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "hasty" in sys.argv[2:])
