"""Disks that become full when a test says so, and have room again when it says so."""

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from .harness import Site

FULL = "the disk is full"
SMALL_MB = 24
LARGE_MB = 96


class Disk(Protocol):
    """Where a folder of the server lies."""

    what: str                               # for the report: which of them it was

    def fill(self, site: Site) -> None: ...

    def said(self, text: str) -> bool: ...

    def make_room(self, site: Site) -> None: ...

    def close(self) -> None: ...


class SmallFileSystem:
    """A tmpfs of a few MB; `mount` tells whether this machine lets us."""

    what = f"a tmpfs of {SMALL_MB} MB"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mount(self) -> bool:
        self.folder.mkdir(parents=True, exist_ok=True)
        done = self._mount(f"size={SMALL_MB}m", "-t", "tmpfs", "tmpfs")
        assert done.returncode == 0 or os.geteuid() != 0, f"root must be able to mount a small disk here: {done.stderr}"
        return done.returncode == 0

    def fill(self, site: Site) -> None:
        """To the last byte: somebody else's file takes it all."""
        with (self.folder / "somebody-elses.log").open("wb", buffering=0) as ballast:
            size = 1 << 20
            while size >= 1:
                try:
                    ballast.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2

    def said(self, text: str) -> bool:
        """Whether a sentence names the trouble."""
        return FULL in text

    def make_room(self, site: Site) -> None:
        done = self._mount(f"remount,size={LARGE_MB}m")
        assert done.returncode == 0, done.stderr

    def close(self) -> None:
        """Lazily, so that nothing that is still open can keep it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def _mount(self, option: str, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["mount", "-o", option, *words, str(self.folder)], capture_output=True, text=True, check=False
        )


class FileLimit:
    """No file of the server may grow beyond the largest of some files: a full disk for those who may not mount."""

    what = "RLIMIT_FSIZE, because only root may mount a small disk"

    def __init__(self, folder: Path, files: str) -> None:
        self.folder, self._files = folder, files

    def fill(self, site: Site) -> None:
        self._limit(site, max(path.stat().st_size for path in self.folder.glob(self._files)))

    def said(self, text: str) -> bool:
        """SQLite cannot tell this refusal from a failing disk."""
        return FULL in text or "the disk refuses (full, or failing)" in text

    def make_room(self, site: Site) -> None:
        self._limit(site, resource.RLIM_INFINITY)

    def close(self) -> None:
        """The limit ends with the process."""

    def _limit(self, site: Site, size: int) -> None:
        if site.server is None or not site.server.alive():
            return                                      # the limit ended with it
        psutil.Process(site.server.popen.pid).rlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def disk_at(folder: Path, files: str) -> Disk:
    """A small file system in `folder` where this machine allows it, else a limit to the size of its `files`."""
    small = SmallFileSystem(folder)
    return small if small.mount() else FileLimit(folder, files)


@pytest.fixture
def make_disk(record_property: Callable[[str, object], None]) -> Iterator[Callable[..., Disk]]:
    """Makes disks and takes them away again; the report says what they were."""
    made: list[Disk] = []

    def make(folder: Path, files: str) -> Disk:
        made.append(disk_at(folder, files))
        record_property("full disk", made[-1].what)
        return made[-1]

    yield make
    for disk in made:
        disk.close()


def part(site: Site, name: str) -> str:
    """What a part says when it is not well; "" when it is."""
    parts = (site.health() or {"parts": []})["parts"]
    return next((one["text"] for one in parts if one["part"] == name and not one["ok"]), "")
