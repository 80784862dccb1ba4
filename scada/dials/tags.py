"""What the control room sees of the dials: how many are due, and how many do not agree."""

from typing import Final

import numpy as np

from scada.dial import DialTable, Due, Verdict
from scada.tags import Batch, Device, Quality, TagDef

SUMMARY: Final = Device(
    "Dials",
    (
        TagDef("checked", "", "Meters whose dial agrees with the count", digits=0),
        TagDef("drift", "", "Meters whose dial differs a little", digits=0),
        TagDef("mismatch", "", "Meters whose dial does not agree with the count", digits=0),
        TagDef("waiting", "", "Dial readings whose hours have not come", digits=0),
        TagDef("soon", "", "Meters whose dial is due to be read soon", digits=0),
        TagDef("overdue", "", "Meters whose dial is overdue to be read", digits=0),
        TagDef("never_read", "", "Meters whose dial nobody has read", digits=0),
    ),
    ("Dials",), "Dials",
)


def summary(table: DialTable, now: int) -> Batch:
    verdicts = (Verdict.OK, Verdict.DRIFT, Verdict.MISMATCH, Verdict.WAITING)
    dues = (Due.SOON, Due.OVERDUE, Due.NEVER_READ)
    counts = [
        *(np.count_nonzero(table.comparison.verdict == one) for one in verdicts),
        *(np.count_nonzero(table.due == one) for one in dues),
    ]
    return Batch(SUMMARY.name, np.array(counts, dtype=np.float64), np.full(len(counts), Quality.GOOD, np.uint8), now, now)
