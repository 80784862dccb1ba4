"""Registers to values and back, for all points of a device at once; the one place where raw numbers are scaled.

A device's registers are kept as one *image*: the blocks of its plan, one behind the other. `Layout` says where each
point lies in it, so that a poll is decoded by a few array operations, whatever the number of points.
"""

from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from scada.drivers.modbus.plan import Block, plan
from scada.drivers.modbus.template import DataType, Template, WordOrder
from scada.tags import Quality

BIG_ENDIAN: Final = {
    DataType.INT16: ">i2", DataType.UINT16: ">u2", DataType.INT32: ">i4", DataType.UINT32: ">u4",
    DataType.INT64: ">i8", DataType.UINT64: ">u8", DataType.FLOAT32: ">f4", DataType.FLOAT64: ">f8",
}


@attrs.frozen(eq=False)
class Same:
    """The points of one type: they are cut out of the image together."""

    points: NDArray[np.intp]            # (k,) positions among the device's points
    gather: NDArray[np.intp]            # (k, width) positions in the image, high word first
    dtype: "np.dtype[Any]"


@attrs.frozen(eq=False)
class Layout:
    """Where the points of one device lie, and what they are multiplied by."""

    template: Template
    blocks: tuple[Block, ...]
    start: NDArray[np.intp]             # (blocks,) where each block begins in the image
    size: int                           # registers in the image
    block_of: NDArray[np.intp]          # (n,) block of each point
    same: tuple[Same, ...]
    factor: NDArray[np.float64]         # (n,) value in the tag's unit = raw x factor
    low: NDArray[np.float64]            # (n,) in the tag's unit; -inf where there is none
    high: NDArray[np.float64]           # (n,) in the tag's unit; +inf where there is none

    def cut(self, image: NDArray[np.uint16], block: int) -> NDArray[np.uint16]:
        """The part of an image that belongs to one block (a view)."""
        return image[self.start[block] : self.start[block] + self.blocks[block].count]


def layout(template: Template, ct_ratio: float = 1.0, vt_ratio: float = 1.0) -> Layout:
    """Prepare a device of this template with these instrument transformers (primary / secondary). [1]"""
    points = template.points
    blocks = plan(points, template.max_registers, template.max_gap)
    ends = np.cumsum([block.count for block in blocks])
    start = np.concatenate(([0], ends[:-1])).astype(np.intp)
    block_of = np.array([next(i for i, block in enumerate(blocks) if block.holds(point)) for point in points], np.intp)
    ratio = np.array([point.ratio(ct_ratio, vt_ratio) for point in points])
    same = []
    for kind in dict.fromkeys(point.type for point in points):
        members = [place for place, point in enumerate(points) if point.type is kind]
        gather = []
        for place in members:
            point, block = points[place], block_of[place]
            first = int(start[block]) + point.address - blocks[block].address
            words = range(first, first + point.width)
            gather.append(list(words if point.word_order is WordOrder.BIG else reversed(words)))
        same.append(Same(np.array(members, np.intp), np.array(gather, np.intp), np.dtype(BIG_ENDIAN[kind])))
    return Layout(
        template=template,
        blocks=blocks,
        start=start,
        size=int(ends[-1]),
        block_of=block_of,
        same=tuple(same),
        factor=ratio * np.array([point.scale for point in points]),
        low=ratio * np.array([-np.inf if point.low is None else point.low for point in points]),
        high=ratio * np.array([np.inf if point.high is None else point.high for point in points]),
    )


def decode(
    layout: Layout, image: NDArray[np.uint16], of_block: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """
    Return values and qualities of all points, in the template's order.

    Parameters
    ----------
    image : ndarray of uint16, shape (layout.size,)
        Registers of all blocks; what stands where a block was not read is never looked at.
    of_block : ndarray of uint8, shape (blocks,)
        `Quality` of each block's answer: GOOD, or why it has none.

    Returns
    -------
    values : ndarray of float64, shape (n,)
        In each tag's unit. NaN where there is no number.
    quality : ndarray of uint8, shape (n,)
        The block's quality where that is not good; BAD_SENSOR where the device sent no number (NaN, infinity);
        BAD_OUT_OF_RANGE where the number is impossible (it is kept, as evidence).
    """
    values = np.empty(len(layout.factor))
    for same in layout.same:
        words = np.ascontiguousarray(image[same.gather].astype(">u2"))
        values[same.points] = words.view(same.dtype)[:, 0]
    values *= layout.factor
    quality = of_block[layout.block_of]
    answered = quality == Quality.GOOD
    number = np.isfinite(values)
    quality[answered & ~number] = Quality.BAD_SENSOR
    quality[answered & number & ((values < layout.low) | (values > layout.high))] = Quality.BAD_OUT_OF_RANGE
    values[~(answered & number)] = np.nan
    return values, quality


def encode(layout: Layout, values: NDArray[np.float64]) -> NDArray[np.uint16]:
    """
    Return the image a device with these values would show: the way back, for simulated meters and tests.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        In each tag's unit (primary side), in the template's order. Integer registers saturate; NaN becomes 0 there.
    """
    image = np.zeros(layout.size, dtype=np.uint16)
    raw = np.asarray(values, dtype=np.float64) / layout.factor
    for same in layout.same:
        mine = raw[same.points]
        if same.dtype.kind != "f":
            limits = np.iinfo(same.dtype)
            # The largest int64 is no float64; the next one below is what saturation means there.
            top = float(limits.max) if limits.bits < 64 else np.nextafter(float(limits.max), 0.0)
            mine = np.clip(np.rint(np.nan_to_num(mine, nan=0.0)), float(limits.min), top)
        words = np.ascontiguousarray(mine.astype(same.dtype)[:, np.newaxis]).view(">u2")
        image[same.gather] = words
    return image
