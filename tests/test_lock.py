"""One server per data directory."""

from pathlib import Path

import pytest

from scada.errors import StartError
from scada.lock import DataDirLock


def test_the_second_one_is_refused_until_the_first_one_ends(tmp_path: Path) -> None:
    """And the directory is made for us alone."""
    folder = tmp_path / "data"
    first, second = DataDirLock(folder), DataDirLock(folder)
    first.acquire()
    with pytest.raises(StartError, match="in use by another server"):
        second.acquire()
    first.release()
    second.acquire()

    assert folder.stat().st_mode & 0o077 == 0
    second.release()


def test_a_directory_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    """A file stands in the way: no traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"data directory: .*file/data: Not a directory"):
        DataDirLock(tmp_path / "file" / "data").acquire()
