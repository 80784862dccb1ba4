"""Measurements anybody can repeat: `scada bench`. Each module measures one thing and returns figures with a short id."""

import attrs


@attrs.frozen
class Figure:
    """One measured number."""

    id: str                             # short and stable, for programs
    what: str                           # one line for people
    value: float
    unit: str
