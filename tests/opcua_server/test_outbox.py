"""What waits for a slow process: definitions first, the newest value of each device, never more than that."""

import numpy as np

from scada.opcua_server.link import Decoder, Frame, decode_batches
from scada.opcua_server.outbox import CHUNK_TAGS, Outbox, batch_of
from scada.tags import Batch, Device, Quality, Snapshot, TagDef, TagId


def device(name: str, *points: str, path: tuple[str, ...] = ()) -> Device:
    return Device(name, tuple(TagDef(point) for point in points), path)


def batch(name: str, *values: float, at: int = 1) -> Batch:
    return Batch(name, np.array(values), np.zeros(len(values), dtype=np.uint8), at, at)


def snapshot(*ids: str) -> Snapshot:
    size = len(ids)
    return Snapshot(
        tuple(TagId(one) for one in ids), {TagId(one): place for place, one in enumerate(ids)},
        np.arange(size, dtype=float), np.zeros(size, dtype=np.uint8), np.arange(size, dtype=np.int64) + 10,
        np.zeros(size, dtype=np.int64), 0,
    )


def drain(box: Outbox) -> list[Frame]:
    frames: list[Frame] = []
    while box:
        frames += list(Decoder(1 << 24).feed(box.take()))
    return frames


def test_a_new_process_gets_definitions_values_and_the_word_that_it_has_all() -> None:
    """Parents before what hangs below them, then their values, then `synchronised`."""
    box = Outbox()
    devices = {one.name: one for one in (device("M1", "a", path=("C01",)), device("C01", "b"))}
    box.restart(devices, snapshot("M1/a", "C01/b"))

    frames = drain(box)

    assert [frame.kind for frame in frames] == ["devices", "values", "synchronised"]
    assert [one[0] for one in frames[0].header["devices"]] == ["C01", "M1"]
    assert [(one.device, one.values.tolist(), one.at) for one in decode_batches(frames[1])] == [
        ("C01", [1.0], 11), ("M1", [0.0], 10)
    ]


def test_a_site_without_devices_is_synchronised_at_once() -> None:
    """The server of an empty site listens too."""
    box = Outbox()
    box.restart({}, snapshot())

    assert [frame.kind for frame in drain(box)] == ["synchronised"]


def test_the_newest_value_wins_and_the_lost_ones_are_counted() -> None:
    """Ten thousand batches of one device while nobody reads: one is held."""
    box = Outbox()
    for number in range(10_000):
        box.add_batch(batch("T01", float(number), float(number)))
    box.add_batch(batch("T02", 7.0))

    (frame,) = drain(box)

    left = [(one.device, one.values.tolist()) for one in decode_batches(frame)]
    assert left == [("T01", [9999.0, 9999.0]), ("T02", [7.0])]
    assert box.merged == 2 * 9_999


def test_values_never_overtake_their_definition() -> None:
    """A device that is redefined while its values wait."""
    box = Outbox()
    box.add_batch(batch("T01", 1.0, 2.0))
    box.add_device(device("T01", "a", "b"))

    assert [frame.kind for frame in drain(box)] == ["devices", "values"]


def test_a_large_site_leaves_in_chunks() -> None:
    """No frame is much larger than a chunk, so that no loop turn is long."""
    box = Outbox()
    names = [f"D{number}" for number in range(100)]
    points = tuple(f"p{number}" for number in range(100))
    tags = snapshot(*(f"{name}/{point}" for name in names for point in points))
    box.restart({name: device(name, *points) for name in names}, tags)

    frames = drain(box)

    assert sum(len(frame.header["devices"]) for frame in frames if frame.kind == "devices") == 100
    assert max(sum(frame.header["size"]) for frame in frames if frame.kind == "values") == CHUNK_TAGS


def test_nothing_is_held_while_nobody_is_there() -> None:
    """After the process ended, until the next one is started."""
    box = Outbox()
    box.restart({"T01": device("T01", "a")}, snapshot("T01/a"))
    box.add_batch(batch("T01", 1.0))
    box.clear()

    assert not box


def test_a_tag_younger_than_the_snapshot_waits_for_its_value() -> None:
    """Not zero, not another tag's value: NaN, waiting."""
    made = batch_of(device("T01", "a", "new"), snapshot("T01/a"))

    assert made.values[0] == 0.0
    assert np.isnan(made.values[1])
    assert made.quality.tolist() == [Quality.GOOD, Quality.BAD_WAITING]
