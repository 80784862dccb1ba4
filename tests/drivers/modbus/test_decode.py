"""Registers to values: every type, both word orders, ratios once, and a quality for whatever is no value."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from scada.drivers.modbus.decode import Layout, decode, encode, layout
from scada.drivers.modbus.template import DataType, Point, Ratio, Register, Template, WordOrder, load_template
from scada.tags import Quality

FORMAT = {
    DataType.INT16: "h", DataType.UINT16: "H", DataType.INT32: "i", DataType.UINT32: "I",
    DataType.INT64: "q", DataType.UINT64: "Q", DataType.FLOAT32: "f", DataType.FLOAT64: "d",
}


def one(kind: DataType, order: WordOrder = WordOrder.BIG, scale: float = 1.0, ratio: Ratio = Ratio.NONE,
        low: float | None = None, high: float | None = None) -> Template:
    point = Point("p", Register.INPUT, 5, kind, order, scale, "W", "", ratio, low, high, 1, 10.0)
    return Template("t", "t", (point,), 125, 0)


def read(device: Layout, words: list[int]) -> tuple[float, Quality]:
    values, quality = decode(device, np.array(words, dtype=np.uint16), np.zeros(1, dtype=np.uint8))
    return float(values[0]), Quality(int(quality[0]))


@pytest.mark.parametrize("order", WordOrder)
@pytest.mark.parametrize("kind", DataType)
def test_every_type_in_every_word_order_reads_what_struct_wrote(kind: DataType, order: WordOrder) -> None:
    """`struct` is the independent judge; bytes in a register are always high byte first."""
    value = -1234 if kind.value.startswith(("int", "float")) else 54321
    raw = struct.pack(">" + FORMAT[kind], value)
    words = list(struct.unpack(f">{len(raw) // 2}H", raw))
    if order is WordOrder.LITTLE:
        words.reverse()

    assert read(layout(one(kind, order)), words) == (value, Quality.GOOD)


@pytest.mark.parametrize(
    ("ratio", "factor"), [(Ratio.NONE, 1), (Ratio.CT, 80), (Ratio.VT, 100), (Ratio.CT_VT, 8000)]
)
def test_ratios_multiply_once_and_the_range_moves_with_them(ratio: Ratio, factor: float) -> None:
    """10 at the terminals behind 400/5 A and 10/0.1 kV; a range of 0-20 at the terminals holds for 10 and not for 21."""
    device = layout(one(DataType.UINT16, scale=0.1, ratio=ratio, low=0.0, high=20.0), 80.0, 100.0)

    value, quality = read(device, [100])
    assert value == pytest.approx(10 * factor)
    assert quality is Quality.GOOD
    assert read(device, [210])[1] is Quality.BAD_OUT_OF_RANGE


def test_a_number_out_of_range_is_kept_as_evidence_and_marked() -> None:
    """What the meter said stays visible; nobody may sum it."""
    value, quality = read(layout(one(DataType.INT16, low=0.0)), [0xFFFF])

    assert value == -1.0
    assert quality is Quality.BAD_OUT_OF_RANGE


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800000, 0xFF800000])
def test_no_number_is_a_sensor_fault_and_nan(bits: int) -> None:
    """NaN and the infinities mean that the device has no value."""
    value, quality = read(layout(one(DataType.FLOAT32)), [bits >> 16, bits & 0xFFFF])

    assert np.isnan(value)
    assert quality is Quality.BAD_SENSOR


def test_a_block_without_an_answer_spoils_its_own_points_only() -> None:
    """The other block's values stay good; the missing ones are NaN and say why."""
    device = layout(load_template("eastron_sdm630"))
    values = np.arange(len(device.factor), dtype=np.float64)
    values[15:18], values[19] = 1.0, 50.0
    last = ("voltage_l1_l2", "voltage_l2_l3", "voltage_l3_l1", "current_neutral")
    second = [place for place, one in enumerate(device.template.points) if one.name in last]
    answered = np.array([Quality.GOOD, Quality.BAD_CONFIG], dtype=np.uint8)
    got, quality = decode(device, encode(device, values), answered)

    assert np.flatnonzero(quality).tolist() == second
    assert set(quality[second].tolist()) == {Quality.BAD_CONFIG}
    assert np.isnan(got).nonzero()[0].tolist() == second


@given(st.data())
def test_what_is_encoded_is_decoded(data: st.DataObject) -> None:
    """The simulated meter and the driver are each other's inverse, to float32."""
    device = layout(load_template("eastron_sdm630"), data.draw(st.sampled_from([1.0, 40.0, 80.0])))
    share = data.draw(st.lists(st.floats(0, 1), min_size=len(device.factor), max_size=len(device.factor)))
    low = np.where(np.isfinite(device.low), device.low, 0.0)
    high = np.where(np.isfinite(device.high), device.high, 1e7)
    values: NDArray[np.float64] = low + np.array(share) * (high - low)
    got, quality = decode(device, encode(device, values), np.zeros(len(device.blocks), dtype=np.uint8))

    good = quality == Quality.GOOD
    np.testing.assert_allclose(got, values, rtol=2e-7, atol=1e-35)
    # Only a value at the very edge may fall over it when it is rounded to float32.
    edge = np.isclose(values, low, rtol=1e-6) | np.isclose(values, high, rtol=1e-6)
    assert (good | edge).all()


@pytest.mark.parametrize("kind", [kind for kind in DataType if not kind.value.startswith("float")])
def test_integers_saturate_when_a_meter_is_simulated(kind: DataType) -> None:
    """A value too large shows the largest number of the register, never a small one."""
    device = layout(one(kind))
    top, _ = decode(device, encode(device, np.array([1e30])), np.zeros(1, dtype=np.uint8))
    bottom, _ = decode(device, encode(device, np.array([-1e30])), np.zeros(1, dtype=np.uint8))

    assert top[0] == pytest.approx(np.iinfo(kind.value).max)
    assert bottom[0] == pytest.approx(np.iinfo(kind.value).min)


def test_decoding_does_not_touch_what_it_is_given(tmp_path: Path) -> None:
    """Arrays of a poll can be kept for a look afterwards."""
    device = layout(load_template("eastron_sdm630"))
    image = encode(device, np.full(len(device.factor), np.nan))
    answered = np.zeros(len(device.blocks), dtype=np.uint8)
    before = image.copy(), answered.copy()
    decode(device, image, answered)

    assert (image == before[0]).all()
    assert (answered == before[1]).all()
