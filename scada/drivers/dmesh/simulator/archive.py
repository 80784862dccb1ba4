"""A concentrator's log of interval data: numbered records that are kept until the server holds them."""

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import attrs

from scada.drivers.dmesh import profile as profiles
from scada.drivers.dmesh import profile_decode
from scada.drivers.dmesh.profile import Profile

DEPTH: Final = 20_000                       # records; a year and more of hourly ones


@attrs.frozen(eq=False)
class Record:
    number: int
    block: dict[int, Any]                   # as it goes on the wire
    profile: Profile                        # the same as arrays


class Archive:
    """Records numbered from 1 within one archive id; the oldest go when it is full."""

    def __init__(self, archive_id: int, room: int, depth: int = DEPTH) -> None:
        self.id, self._room = archive_id, room
        self._records: deque[Record] = deque(maxlen=depth)
        self._newest = 0
        self.acknowledged = 0
        self.lost = 0                       # records that went before anybody held them

    @property
    def depth(self) -> int:
        """Records that fit."""
        return int(self._records.maxlen or 0)

    @depth.setter
    def depth(self, records: int) -> None:
        """Another memory: of what does not fit the oldest is gone."""
        gone = [one for one in list(self._records)[:-records] if one.number > self.acknowledged]
        self.lost += len(gone)
        self._records = deque(self._records, maxlen=records)

    @property
    def oldest(self) -> int:
        return self._records[0].number if self._records else 0

    @property
    def newest(self) -> int:
        return self._newest

    def append(self, profile: Profile) -> tuple[Record, ...]:
        """Enter a profile, split by channel so that every record fits a frame; returns the records it became."""
        entered = []
        for block in profiles.split(profile, self._room):
            decoded = profile_decode.decode(block)
            assert isinstance(decoded, Profile)
            if len(self._records) == self._records.maxlen and self.oldest > self.acknowledged:
                self.lost += 1
            self._newest += 1
            record = Record(self._newest, block, decoded)
            self._records.append(record)
            entered.append(record)
        return tuple(entered)

    def owed_since(self) -> int | None:
        """First hour of what nobody acknowledged yet; None if nothing is left."""
        owed = (one.profile.first_hour for one in reversed(self._records) if one.number > self.acknowledged)
        return min(owed, default=None)

    def after(self, number: int) -> Record | None:
        """The first record behind `number`; None if there is none."""
        if not self._records or number >= self._newest:
            return None
        return self._records[max(0, number + 1 - self._records[0].number)]

    def after_all(self, number: int) -> tuple[Record, ...]:
        """Every record behind `number`."""
        return tuple(one for one in self._records if one.number > number)

    def acknowledge(self, cursor: int) -> bool:
        """The server holds everything up to `cursor`; True if that is news."""
        cursor = min(cursor, self._newest)
        if cursor <= self.acknowledged:
            return False
        self.acknowledged = cursor
        return True

    def covering(self, first: int, hours: int) -> Iterator[Record]:
        """Records that hold something of these hours."""
        for record in self._records:
            held = record.profile
            if held.first_hour < first + hours and held.first_hour + held.counts.shape[1] > first:
                yield record
