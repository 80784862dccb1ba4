"""Validated hours: what stands for an hour that the meter does not tell, beside what was delivered, never over it."""

from enum import StrEnum

import attrs


class Method(StrEnum):
    """Where a validated value comes from."""

    VALUE = "value"                     # a person's figure: from a dial, a neighbour meter, an agreement
    INTERPOLATED = "interpolated"       # on the straight line between the hours beside the gap
    TYPICAL = "typical"                 # the median of the same hour of the week in the weeks before
    SPREAD = "spread"                   # what the register says was used over the gap, shared out over its hours
    WITHDRAWN = "withdrawn"             # the raw value counts again


@attrs.frozen
class Estimate:
    """One validated hour of a point, and who answers for it."""

    point: str
    hour: int                           # h since 1970
    value: float                        # in the point's unit; NaN for WITHDRAWN
    method: Method
    by: str
    at: int                             # ns, site time: when it was entered
    note: str = ""
