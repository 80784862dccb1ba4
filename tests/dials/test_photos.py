"""Photos: known by what is in them, stripped of what a camera wrote, kept durably, and bounded."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scada.dials.images import bare, kind_of
from scada.dials.photos import PhotoStore
from scada.errors import CommandRejected
from tests.fakes import png

PLACE = b"Exif\x00\x00GPS 47.0245 N 28.8322 E"


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg(*extra: bytes) -> bytes:
    """The bones of one: what is walked through, not what is seen."""
    kept = segment(0xE0, b"JFIF\x00") + b"".join(extra) + segment(0xDB, bytes(65)) + segment(0xDA, b"\x01\x01\x00")
    return b"\xff\xd8" + kept + b"pixels\xff\xd9"


def webp(*extra: tuple[bytes, bytes]) -> bytes:
    chunks = b"".join(
        name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in ((b"VP8 ", b"abc"), *extra)
    )
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


@pytest.mark.parametrize(("clean", "written_in"), [
    (jpeg(), jpeg(segment(0xE1, PLACE), segment(0xFE, PLACE), segment(0xED, PLACE))),
    (png(4, 4), png(4, 4, (b"eXIf", PLACE), (b"tEXt", PLACE))),
    (webp(), webp((b"EXIF", PLACE), (b"XMP ", PLACE))),
])
def test_place_time_and_owner_are_not_kept(clean: bytes, written_in: bytes) -> None:
    """And nothing else is touched."""
    assert PLACE in written_in
    assert bare(written_in) == clean
    assert bare(clean) == clean


@pytest.mark.parametrize("data", [
    b"", b"<svg onload=alert(1)>", b"GIF89a", b"%PDF-1.7", b"\xff\xd8\xff", jpeg()[:30], png(4, 4)[:40], webp()[:-3],
])
def test_what_is_no_whole_picture_is_refused_whatever_it_is_called(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(CommandRejected, match=r"^the photo: "):
        PhotoStore(tmp_path / "photos", 1 << 20).keep(data)

    assert not (tmp_path / "photos").exists()


@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x00\x00\x00\x00WEBP", b""]), st.binary(max_size=300))
def test_no_bytes_bring_it_down(head: bytes, rest: bytes) -> None:
    """A picture, or a sentence."""
    try:
        made = bare(head + rest)
    except ValueError:
        return
    assert kind_of(made) == kind_of(head + rest)


def test_the_same_photo_is_stored_once_under_the_name_of_its_content(tmp_path: Path) -> None:
    """A retry on a bad line fills nothing; only the owner may read the files."""
    store = PhotoStore(tmp_path / "photos", 1 << 20)
    name = store.keep(png(8, 8))

    assert store.keep(png(8, 8, (b"tEXt", PLACE))) == name
    assert PhotoStore(tmp_path / "photos", 1 << 20).photo(name) == png(8, 8)
    (path,) = (tmp_path / "photos").iterdir()
    assert path.stat().st_mode & 0o077 == 0


def test_all_photos_together_are_bounded_over_a_restart_too(tmp_path: Path) -> None:
    """Full is said; what is there stays."""
    picture = png(200, 2, (b"pHYs", bytes(30_000)))
    PhotoStore(tmp_path, 40_000).keep(picture)
    store = PhotoStore(tmp_path, 40_000)
    with pytest.raises(CommandRejected, match=r"MB of photos are stored: no more are taken"):
        store.keep(png(201, 2, (b"pHYs", bytes(30_000))))
    with pytest.raises(CommandRejected, match=r"at most 8 are taken"):
        store.keep(bytes((8 << 20) + 1))

    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["../registry.sqlite", "a.jpg", "", "0" * 32 + ".svg", "/etc/passwd"])
def test_a_name_that_is_not_of_the_store_is_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")

    assert PhotoStore(tmp_path, 1 << 20).photo(name) is None
