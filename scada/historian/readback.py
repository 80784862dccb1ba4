"""What was merged is read once more, as a reader would, before the journal forgets it."""

from pathlib import Path
from typing import Final

from scada.errors import StorageError
from scada.historian.database import ReadPool
from scada.historian.rows import COLUMNS, BlockKey, check_block

_ONE: Final = f"SELECT {COLUMNS} FROM block WHERE interval_s=? AND day=? AND block=?"


class Readback:
    """Blocks that were written and not read since; one thread."""

    def __init__(self) -> None:
        self._written: dict[Path, dict[BlockKey, None]] = {}

    def wrote(self, path: Path, key: BlockKey) -> None:
        self._written.setdefault(path, {})[key] = None

    def given_up(self, path: Path) -> None:
        """The file was set aside, and with it what it held: `repair` deals with that."""
        self._written.pop(path, None)

    def check(self) -> str:
        """Why a block is not what was written, "" = all are; what is not is looked at again the next time."""
        pool = ReadPool()                                   # connections of its own see what others see
        try:
            for path, keys in tuple(self._written.items()):
                if trouble := _trouble(pool, path, keys):
                    return trouble
                del self._written[path]
        except StorageError as error:
            return str(error)
        finally:
            pool.close()
        return ""


def _trouble(pool: ReadPool, path: Path, keys: dict[BlockKey, None]) -> str:
    if not path.exists():
        return ""                                           # an old month that was taken away
    with pool.reading(path) as database:
        for key in tuple(keys):
            row = database.execute(_ONE, key).fetchone() if database else None
            why = "is not there" if row is None else check_block(*row)
            if why:
                return f"merged, but read back otherwise: block {key[2]} of day {key[1]} in {path.name} ({why})"
            del keys[key]
    return ""
