"""How fast PROFILE blocks become arrays."""

import time
from statistics import median
from typing import Final

import cbor2
import numpy as np

from scada.bench import Figure
from scada.bench.dmesh.city import PATTERNS, City, records
from scada.drivers.dmesh import messages, profile, profile_decode
from scada.drivers.dmesh.rejected import Rejected
from scada.intervals import HOURLY

CHANNELS: Final = 90                    # what fits a frame of 4,096 bytes with a day of hours that hardly compress
HOURS: Final = 24
ROUNDS: Final = 5
BLOCKS: Final = 400
TURN: Final = 32                        # small frames that come in together


def sample(seed: int = 1, channels: int = CHANNELS, hours: int = HOURS) -> profile.Profile:
    """A day of plausible household pulses at 1000 per kWh."""
    chance = np.random.default_rng(seed)
    shape = 0.4 + np.exp(-0.5 * ((np.arange(hours) % 24 - 19.5) / 2.5) ** 2)
    counts = chance.gamma(2.0, 250 * shape, (channels, hours)).astype(np.int64)
    return profile.Profile(
        first_hour=490_896,
        index=(np.arange(channels) // 3 + 1).astype(np.uint16),
        channel=(np.arange(channels) % 3).astype(np.uint8),
        register=chance.integers(0, 2**32, channels).astype(np.int64),
        counts=counts,
        status=np.zeros((channels, hours), dtype=np.uint8),
        interval_s=HOURLY,
    )


def measure() -> list[Figure]:
    """Readings per second of one core: CBOR bytes of a PROFILE block to arrays, checks included."""
    body = cbor2.dumps(profile.encode(sample()), canonical=True)
    rates = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(BLOCKS):
            decoded = profile_decode.decode(cbor2.loads(body))
            if isinstance(decoded, Rejected):
                raise AssertionError(decoded)
        rates.append(BLOCKS * CHANNELS * HOURS / (time.perf_counter() - began))
    what = f"PROFILE decode, {CHANNELS} channels x {HOURS} h a block"
    return [
        *small_frames(), Figure("profile_decode", f"{what}, best of {ROUNDS}", max(rates), "readings/s"),
        Figure("profile_bytes", what, len(body), "bytes"),
    ]


def small_frames() -> list[Figure]:
    """The same of a city's archive in frames of 1,024 bytes: the bodies of a turn of the loop, as the driver takes them."""
    city = City()
    bodies = [body for pattern in range(PATTERNS) for body in records(city, pattern)]
    walls, busy = [], []
    for _ in range(ROUNDS * 4):
        wall, processor = time.perf_counter(), time.thread_time()
        for at in range(0, len(bodies), TURN):
            packets = [messages.decode(body) for body in bodies[at:at + TURN]]
            _, refused = profile_decode.decode_many([one.message.block for one in packets])    # type: ignore[union-attr]
            if refused:
                raise AssertionError(refused)
        walls.append(time.perf_counter() - wall)
        busy.append(time.thread_time() - processor)
    readings = PATTERNS * city.rows * city.hours
    what = f"PROFILE bodies of up to {max(map(len, bodies))} bytes to arrays, {TURN} together"
    return [
        Figure("profile_decode_per_s", f"{what}: readings a second of processor time, median", readings / median(busy),
               "readings/s"),
        Figure("profile_decode_wall", f"{what}: by the clock on the wall, median", readings / median(walls), "readings/s"),
    ]
