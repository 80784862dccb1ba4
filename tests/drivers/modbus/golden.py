"""Register maps as the maker prints them, kept as literals: what the templates are held against."""

import csv
from pathlib import Path

import attrs

FOLDER = Path(__file__).parents[2] / "golden" / "modbus"


@attrs.frozen
class Row:
    register: int                       # as the manual numbers it: 30001 is the first input register
    address: int                        # on the wire
    point: str
    unit: str
    ratio: str
    value: float                        # at the meter's terminals
    words: tuple[int, int]              # that value, high word first


def rows(template: str) -> tuple[Row, ...]:
    with (FOLDER / template / "registers.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Row(
                int(row["register"]), int(row["address"], 16), row["point"], row["unit"], row["ratio"], float(row["value"]),
                tuple(int(word, 16) for word in row["words"].split()),  # type: ignore[arg-type]
            )
            for row in csv.DictReader(file)
        )
