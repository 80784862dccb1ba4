"""The live log: what the bus says, written twice a second and rolled into chunks every few minutes."""

import sqlite3
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from twisted.internet.defer import Deferred

from scada.clock import SiteClock
from scada.errors import StorageError
from scada.historian.bands_stored import Band, changed
from scada.historian.deadband import Bands
from scada.historian.livefiles import LiveFiles
from scada.historian.refusals import sentence, sqlite_sentence
from scada.historian.samples import Samples
from scada.historian.tap import BusTap, Kept, Taken
from scada.historian.worker import Worker
from scada.ports import TagSource

ROLL_S: Final = 300.0                               # real time between two rolls


class LiveLog:
    """From the bus to the files."""

    def __init__(
        self, files: LiveFiles, bus: TagSource, clock: SiteClock, reactor: Any, worker: Worker,
        dead_bands: Mapping[str, float] | None = None,
    ) -> None:
        self._files, self._clock, self._widths = files, clock, dead_bands or {}
        self._bands: WeakKeyDictionary[Kept, Bands | None] = WeakKeyDictionary()          # goes with the definition
        self.left_out = 0                           # samples within their dead-band
        self._tags: dict[str, int] = {}
        self._highest = 0                           # number of a tag
        self.trouble = ""                           # why the hot log is not rolled
        self._numbers: WeakKeyDictionary[Kept, NDArray[np.int32]] = WeakKeyDictionary()
        self._rolled = clock.monotonic()
        self.tap = BusTap(bus, reactor, worker, "the live log", files.directory, self._write)

    def start(self, tags: dict[str, int]) -> None:
        """Begin to listen; `tags` are the numbers of the tags known so far."""
        self._tags, self._highest = tags, max(tags.values(), default=0)
        self.tap.start()

    def stop(self) -> "Deferred[Any]":
        return self.tap.stop()

    # ------------------------------------------------- in the worker's thread
    def _write(self, taken: list[Taken]) -> None:
        new: dict[str, int] = {}
        numbers = {kept: self._numbers_of(kept, new) for kept in {kept for kept, _ in taken}}
        columns = [numbers[kept] for kept, _ in taken]
        samples = Samples(
            np.concatenate(columns),
            np.repeat(np.array([batch.at for _, batch in taken], dtype=np.int64), [len(one) for one in columns]),
            np.concatenate([batch.values[kept.columns] for kept, batch in taken]),
            np.concatenate([batch.quality[kept.columns] for kept, batch in taken]),
        )
        keep, bands = self._worth(taken)
        if keep is not None:
            samples = samples.take(keep)
        if len(samples):
            names = [(number, name) for name, number in new.items()]
            self._files.append(names, samples, self._begun(taken, numbers, bands))
            self._tags.update(new)                  # only now are these numbers on disk
            self._highest += len(new)
        else:
            numbers = {}
        if keep is not None:
            self.left_out += int((~keep).sum())
        self._bands.update(bands)                   # what could not be written comes again, and is no older value then
        self._numbers.update(numbers)
        if self._clock.monotonic() - self._rolled >= ROLL_S:
            self._rolled = self._clock.monotonic()
            self._roll()

    def _roll(self) -> None:
        """What cannot be rolled stays in the hot log, durable, until the next time; writing goes on."""
        try:
            self._files.roll()
        except OSError as error:
            self.trouble = sentence("the live log", self._files.directory, error)
        except sqlite3.Error as error:
            self.trouble = sqlite_sentence("the live log", self._files.directory, error)
        except StorageError as error:
            self.trouble = str(error)
        else:
            self.trouble = ""

    def _worth(self, taken: list[Taken]) -> tuple[NDArray[np.bool_] | None, dict[Kept, Bands | None]]:
        """Which of all samples are outside their dead-bands, None: all of them; and the bands around those."""
        bands: dict[Kept, Bands | None] = {}
        keep = []
        for kept, batch in taken:
            if kept not in bands:
                known = kept in self._bands
                bands[kept] = self._bands[kept] if known else Bands.of(kept.names, kept.tags, self._widths)
            band = bands[kept]
            if band is None:
                keep.append(np.ones(len(kept.names), np.bool_))
            else:
                mask, bands[kept] = band.after(batch.values[kept.columns], batch.quality[kept.columns], batch.at)
                keep.append(mask)
        return (None if all(one is None for one in bands.values()) else np.concatenate(keep)), bands

    def _begun(
        self, taken: list[Taken], numbers: Mapping[Kept, NDArray[np.int32]], bands: Mapping[Kept, Bands | None]
    ) -> list[Band]:
        """Dead-bands that begin or end with these samples."""
        found: list[Band] = []
        if not self._widths and not self._files.bands:
            return found
        seen = set(self._bands)
        for kept, batch in taken:
            if kept not in seen:
                seen.add(kept)
                band = bands[kept]
                silences = [0] * len(kept.names) if band is None else band.held.tolist()
                found += changed(self._files.bands, numbers[kept].tolist(), silences, batch.at)
        return found

    def _numbers_of(self, kept: Kept, new: dict[str, int]) -> NDArray[np.int32]:
        """Numbers of a device's tags; those nobody has yet go into `new`, to be written with the samples."""
        numbers = self._numbers.get(kept)
        if numbers is not None:
            return numbers
        for name in kept.names:
            if name not in self._tags and name not in new:
                new[name] = self._highest + len(new) + 1
        return np.array([self._tags.get(name) or new[name] for name in kept.names], dtype=np.int32)
