"""What an uploaded photo is, by its first bytes, and the photo without what a camera wrote into it. Pure."""

from typing import Final

MAGIC: Final = ((b"\xff\xd8\xff", "jpg"), (b"\x89PNG\r\n\x1a\n", "png"))
_START_OF_SCAN: Final = 0xDA
_KEPT_APPS: Final = frozenset({0xE0, 0xEE})     # JFIF and Adobe: how colours are coded
_COMMENT: Final = 0xFE
_KEPT_CHUNKS: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"pHYs", b"IDAT", b"IEND"})


def kind_of(data: bytes) -> str:
    """"jpg", "png" or "webp" by what is in it, never by its name; "" for anything else."""
    for magic, kind in MAGIC:
        if data.startswith(magic):
            return kind
    return "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def bare(data: bytes) -> bytes:
    """The picture without place, time, owner and comments; raises ValueError where it cannot be walked through."""
    kind = kind_of(data)
    if kind == "jpg":
        return _bare_jpeg(data)
    if kind == "png":
        return _bare_png(data)
    if kind == "webp":
        return _bare_webp(data)
    raise ValueError("expected a JPEG, PNG or WebP picture")


def _bare_jpeg(data: bytes) -> bytes:
    kept, place = [data[:2]], 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            break
        marker, length = data[place + 1], int.from_bytes(data[place + 2:place + 4], "big")
        if marker == 0xFF:                                  # a fill byte
            place += 1
            continue
        end = place + 2 + length
        if length < 2 or end > len(data):
            break
        if marker == _START_OF_SCAN:
            return b"".join([*kept, data[place:]])
        dropped = marker == _COMMENT or (0xE0 <= marker <= 0xEF and marker not in _KEPT_APPS)
        if not dropped:
            kept.append(data[place:end])
        place = end
    raise ValueError("the JPEG picture is cut off or damaged")


def _bare_png(data: bytes) -> bytes:
    kept, place = [data[:8]], 8
    while place + 12 <= len(data):
        length, name = int.from_bytes(data[place:place + 4], "big"), data[place + 4:place + 8]
        end = place + 12 + length
        if end > len(data):
            break
        if name in _KEPT_CHUNKS:
            kept.append(data[place:end])
        if name == b"IEND":
            return b"".join(kept)
        place = end
    raise ValueError("the PNG picture is cut off or damaged")


def _bare_webp(data: bytes) -> bytes:
    kept, place = [], 12
    while place + 8 <= len(data):
        name, length = data[place:place + 4], int.from_bytes(data[place + 4:place + 8], "little")
        end = place + 8 + length + length % 2
        if end > len(data):
            break
        if name == b"VP8X":                                 # its flags announce the parts that are left out
            kept.append(data[place:place + 8] + bytes([data[place + 8] & ~0x0C]) + data[place + 9:end])
        elif name not in (b"EXIF", b"XMP "):
            kept.append(data[place:end])
        place = end
    if place != len(data) or not kept:
        raise ValueError("the WebP picture is cut off or damaged")
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + len(body).to_bytes(4, "little") + body
