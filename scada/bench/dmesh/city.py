"""What a city is for these measurements: how many concentrators, what they hold, and what both processes know of it."""

import json
from collections.abc import Iterator
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.drivers.dmesh import messages, profile
from scada.drivers.dmesh.messages import Hello, ModuleEntry, ModuleList, ProfileMessage
from scada.drivers.dmesh.profile import Profile

FIRST_LINK: Final = 0xBE000001
ROOM: Final = 1024 - 64                 # bytes of a frame of 1,024 that a block may take
PATTERNS: Final = 4                     # archives that differ; concentrators share them, and differ in their modules
ENTRIES: Final = 18                     # modules a page of their list
ARCHIVE: Final = 7                      # archive id of everybody


@attrs.frozen
class City:
    """Size and content; handed from process to process as one word."""

    concentrators: int = 1400
    modules: int = 240
    channels: int = 3
    block_hours: int = 24               # hours a block
    hours: int = 24                     # hours each channel holds
    first_hour: int = 490_896

    @property
    def links(self) -> range:
        return range(FIRST_LINK, FIRST_LINK + self.concentrators)

    @property
    def rows(self) -> int:
        """Channels of one concentrator."""
        return self.modules * self.channels

    @property
    def readings(self) -> int:
        return self.concentrators * self.rows * self.hours

    def word(self) -> str:
        return json.dumps(attrs.asdict(self))

    @classmethod
    def of(cls, word: str) -> "City":
        return cls(**json.loads(word))


def key_of(link: int) -> bytes:
    """Any key will do; both sides make it from the link id."""
    return link.to_bytes(4, "big") * 4


def eui_of(link: int, index: int) -> int:
    return link << 16 | index


def counts(city: City, pattern: int) -> NDArray[np.int64]:
    """Pulses of one concentrator, (rows, hours): households at 1000 per kWh."""
    chance = np.random.default_rng([pattern, city.rows])
    shape = 0.4 + np.exp(-0.5 * ((np.arange(city.hours) % 24 - 19.5) / 2.5) ** 2)
    return chance.poisson(chance.gamma(2.0, 110 * shape, (city.rows, city.hours))).astype(np.int64)


def records(city: City, pattern: int) -> list[bytes]:
    """The bodies of every PROFILE of an archive, in order, ready to be sealed."""
    pulses = counts(city, pattern)
    index = (np.arange(city.rows) // city.channels + 1).astype(np.uint16)
    channel = (np.arange(city.rows) % city.channels).astype(np.uint8)
    register = np.concatenate([np.zeros((city.rows, 1), dtype=np.int64), pulses.cumsum(axis=1)], axis=1)
    bodies: list[bytes] = []
    for first in range(0, city.hours, city.block_hours):
        part = pulses[:, first:first + city.block_hours]
        whole = Profile(
            city.first_hour + first, index, channel, register[:, first], part, np.zeros(part.shape, dtype=np.uint8),
            generation=1,
        )
        for block in profile.split(whole, ROOM):
            bodies.append(messages.encode(ProfileMessage(len(bodies) + 1, block)))
    return bodies


def hello(city: City, link: int, nonce: bytes, newest: int) -> Hello:
    return Hello(
        min_version=0x10, max_version=0x10, link_id=link, boot_id=1, archive_id=ARCHIVE, max_frame=1024, nonce=nonce,
        model="bench", t1=60, t3=240, oldest=1 if newest else 0, newest=newest,
    )


def module_pages(city: City, link: int) -> Iterator[ModuleList]:
    """The module list of one concentrator."""
    entries = tuple(ModuleEntry(index, eui_of(link, index), city.channels) for index in range(1, city.modules + 1))
    pages = [entries[at:at + ENTRIES] for at in range(0, len(entries), ENTRIES)] or [()]
    return (ModuleList(1, number, len(pages), page) for number, page in enumerate(pages))
