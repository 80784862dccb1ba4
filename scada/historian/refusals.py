"""What a disk refuses, as a sentence for an operator."""

import errno
import sqlite3
from pathlib import Path
from typing import Final

from scada.errors import StorageError

FROM_BACKUP: Final = "look at the disk; put this folder elsewhere and make it anew from a backup: scada historian restore"


def sentence(what: str, where: Path, error: OSError) -> str:
    """An operating system's refusal as a sentence for an operator."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return f"{what} in {where} cannot be written: the disk is full"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{what} in {where} cannot be written: no permission"
    return f"{what} in {where} cannot be written: {(error.strerror or str(error)).lower()}"


def sqlite_sentence(what: str, where: Path, error: sqlite3.Error) -> str:
    """SQLite's refusal as a sentence for an operator."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    reason = {
        sqlite3.SQLITE_FULL: "the disk is full",
        sqlite3.SQLITE_READONLY: "no permission",
        sqlite3.SQLITE_CANTOPEN: "it cannot be opened (permission, or a full disk)",
        sqlite3.SQLITE_IOERR: "the disk refuses (full, or failing)",
        sqlite3.SQLITE_CORRUPT: "the file is damaged",
        sqlite3.SQLITE_NOTADB: "the file is damaged",
        sqlite3.SQLITE_BUSY: "another process holds it",
    }.get(code, str(error))
    return f"{what} in {where} cannot be written: {reason}"


def storage_error(what: str, where: Path, error: sqlite3.Error) -> StorageError:
    return StorageError(sqlite_sentence(what, where, error))
