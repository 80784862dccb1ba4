"""Makes walk.json: a golden walk-by file of DMLP blocks, written from docs/walk-by.md alone, with the standard library.

It imports nothing of this project, nor a CBOR library. Run it with any Python; it writes walk.json to standard output.
"""

import json
import struct
import zlib

T, HOUR = 1767225600, 490896            # 2026-01-01T00Z


def head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    for code, form, limit in ((24, ">B", 8), (25, ">H", 16), (26, ">I", 32), (27, ">Q", 64)):
        if number < 1 << limit:
            return bytes([major << 5 | code]) + struct.pack(form, number)
    raise ValueError(number)


def cbor(item):
    if isinstance(item, int):
        return head(0, item)
    if isinstance(item, bytes):
        return head(2, len(item)) + item
    if isinstance(item, str):
        return head(3, len(item.encode())) + item.encode()
    pairs = sorted((cbor(key), cbor(value)) for key, value in item.items())
    return head(5, len(pairs)) + b"".join(key + value for key, value in pairs)


def record(item):
    body = cbor(item)
    plain = struct.pack(">I", len(body)) + body
    return plain + struct.pack(">I", zlib.crc32(plain))


EUIS = [0x00124B0000000001, 0x00124B0000000002]
MISSING = 0xFFFF
hourly = {
    0: HOUR, 1: 4,
    2: struct.pack("<3H", 1, 1, 2), 3: bytes([0, 1, 0]),
    4: struct.pack("<3I", 1000, 0, 4294967290),
    5: struct.pack("<12H", 3, 0, 7, MISSING, 1, 1, 1, 1, 5, 5, 5, 5),
    7: bytes([0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    11: struct.pack(">2Q", *EUIS),
}
half_hourly = {
    0: HOUR + 24, 1: 4, 2: struct.pack("<H", 1), 3: bytes([0]), 4: struct.pack("<I", 77),
    5: struct.pack("<4I", 70000, 1, 2, 3), 8: 4, 9: 1800, 11: struct.pack(">Q", EUIS[1]),
}
made = b"DMWB\x01\x00\x00\x00" + record({0: "J100UC-M 7", 1: T, 2: 2}) + record(hourly) + record(half_hourly)
print(json.dumps({
    "file": made.hex(),
    "blocks": [
        {"first_hour": HOUR, "interval_s": 3600, "eui": [f"{EUIS[0]:016x}", f"{EUIS[0]:016x}", f"{EUIS[1]:016x}"],
         "channel": [0, 1, 0], "register": [1000, 0, 4294967290],
         "pulses": [[3, 0, 7, None], [1, 1, 1, 1], [5, 5, 5, 5]],
         "status": [[0, 0, 4, 0], [0, 0, 0, 0], [0, 0, 0, 0]]},
        {"first_hour": HOUR + 24, "interval_s": 1800, "eui": [f"{EUIS[1]:016x}"], "channel": [0], "register": [77],
         "pulses": [[70000, 1, 2, 3]], "status": [[0, 0, 0, 0]]},
    ],
}, indent=1))
